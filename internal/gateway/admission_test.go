package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/gateway"
)

// behindProxy is limits of a gateway that believes what the loopback interface says of others.
func behindProxy(connections, perAddress int) gateway.Config {
	return gateway.Config{Limits: gateway.Limits{
		Connections: connections, PerAddress: perAddress, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")},
	}}
}

func forwarded(headers ...string) func(*websocket.DialOptions) {
	return func(o *websocket.DialOptions) {
		for _, hops := range headers {
			o.HTTPHeader.Add("X-Forwarded-For", hops)
		}
	}
}

// wantStatus tries to connect, and returns the connection, which is nil if it was refused.
func (s *server) wantStatus(t *testing.T, status int, options ...func(*websocket.DialOptions)) *websocket.Conn {
	t.Helper()
	conn, res, err := s.try("/default", options...)
	if err == nil {
		t.Cleanup(func() { conn.CloseNow() })
	}
	if res == nil || res.StatusCode != status {
		t.Fatalf("%v, %v, want status %d", res, err, status)
	}
	return conn
}

func TestConnectionsInAll(t *testing.T) {
	connect := newRecorder()
	config := behindProxy(3, 2)
	config.Routes.Connect = connect
	s := serve(t, config)
	for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
		s.wantStatus(t, 101, forwarded(address))
	}
	last := s.wantStatus(t, 101, forwarded("192.0.2.3"))
	s.wantStatus(t, 503, forwarded("192.0.2.4"))
	if got := s.Refused(); got != (gateway.Refused{Connections: 1}) || len(connect.events) != 3 {
		t.Errorf("refused %+v, %d connections were told of", got, len(connect.events))
	}
	last.CloseNow()
	eventually(t, "there is room for another", func() bool {
		conn, _, err := s.try("/default", forwarded("192.0.2.4"))
		if err == nil {
			t.Cleanup(func() { conn.CloseNow() })
		}
		return err == nil
	})
}

func TestConnectionsOfOneAddress(t *testing.T) {
	s := serve(t, behindProxy(100, 2))
	for _, test := range []struct {
		address string
		status  int
	}{
		{"192.0.2.1", 101}, {"192.0.2.1", 101}, {"192.0.2.1", 429}, {"::ffff:192.0.2.1", 429}, {"192.0.2.2", 101},
		{"2001:db8::1", 101}, {"2001:db8::2", 101}, {"2001:db8:0:0:ffff::1", 429}, {"2001:db8:0:1::1", 101}, // by /64
	} {
		s.wantStatus(t, test.status, forwarded(test.address))
	}
	if got := s.Refused(); got != (gateway.Refused{PerAddress: 3}) {
		t.Errorf("refused %+v", got)
	}
}

// A handshake that is refused, or whose client goes, leaves nothing behind.
func TestConnectionsThatDoNotComeAboutAreNotCounted(t *testing.T) {
	refuse := true
	s := serve(t, gateway.Config{Limits: gateway.Limits{Connections: 1}, Routes: gateway.Routes{
		Connect: function(func(context.Context, *event) (response, error) {
			if refuse {
				return response{StatusCode: http.StatusForbidden}, nil
			}
			return ok, nil
		}),
	}})
	for range 3 {
		s.wantStatus(t, 403)
	}
	refuse = false
	s.wantStatus(t, 101)
	s.wantStatus(t, 503)
}

func TestSourceAddress(t *testing.T) {
	for _, test := range []struct {
		name      string
		trusted   bool
		forwarded []string
		want      string
	}{
		{"nobody is trusted", false, []string{"192.0.2.1"}, "127.0.0.1"},
		{"the proxy says nothing", true, nil, "127.0.0.1"},
		{"the proxy says", true, []string{"192.0.2.1"}, "192.0.2.1"},
		{"the client makes up another", true, []string{"198.51.100.7, 192.0.2.1"}, "192.0.2.1"},
		{"the client pretends to be a proxy", true, []string{"198.51.100.7, 10.0.0.1, 192.0.2.1"}, "192.0.2.1"},
		{"two proxies", true, []string{"198.51.100.7,192.0.2.1,10.0.0.1"}, "192.0.2.1"},
		{"two headers", true, []string{"192.0.2.1", "10.0.0.1"}, "192.0.2.1"},
		{"proxies alone", true, []string{"10.0.0.2, 10.0.0.1"}, "10.0.0.2"},
		{"with a port", true, []string{"192.0.2.1:4711"}, "192.0.2.1"},
		{"IPv6 with a port", true, []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"IPv6 in brackets", true, []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv4 in IPv6", true, []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		{"no address", true, []string{"192.0.2.1, unknown"}, "127.0.0.1"},
		{"no address before the proxy's", true, []string{"192.0.2.1, unknown, 10.0.0.1"}, "10.0.0.1"},
		{"empty", true, []string{""}, "127.0.0.1"},
		{"commas", true, []string{",,,"}, "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			connect := newRecorder()
			config := gateway.Config{}
			if test.trusted {
				config = behindProxy(0, 0)
			}
			config.Routes.Connect = connect
			serve(t, config).dial(t, "/default", forwarded(test.forwarded...))
			if got := connect.next(t).RequestContext.Identity.SourceIP; got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// Sockets that ask for nothing are limited like connections, and make room when they become some.
func TestSocketsThatAreNoConnections(t *testing.T) {
	s := serve(t, gateway.Config{Limits: gateway.Limits{Connections: 9, PerAddress: 2}})
	one, two := s.rawConn(t), s.rawConn(t)
	closed := s.rawConn(t)
	if _, err := closed.r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one more than 2: %v, want the end", err)
	}
	if got := s.Refused(); got != (gateway.Refused{Sockets: 1}) {
		t.Errorf("refused %+v", got)
	}
	one.handshake(t)
	three := s.rawConn(t)
	three.handshake(t)
	two.Close()
	four := s.rawConn(t) // a socket, but no connection
	four.write(t, []byte(upgradeRequest))
	if res, err := http.ReadResponse(four.r, nil); err != nil || res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("%v, %v, want 429", res, err)
	}
}

// What is kept of messages that do not come to their end is bounded: those that began first are cut off.
func TestUnfinishedMessages(t *testing.T) {
	const each = 16<<10 + gateway.MaxFrame // what a reader has read ahead, and the message
	s := serve(t, gateway.Config{Limits: gateway.Limits{Unfinished: 2 * each}, Routes: gateway.Routes{Default: echo}})
	begin := func() *raw {
		c := s.rawDial(t)
		c.write(t, maskedFrame(opText, bytesOf(gateway.MaxFrame)))
		c.write(t, maskedFrame(final|opPing, "there?"))
		c.wantFrame(t, final|opPong, "there?") // it has been read
		return c
	}
	first, second := begin(), begin()
	if got := s.Refused(); got != (gateway.Refused{}) {
		t.Errorf("refused %+v", got)
	}
	third := begin()
	if _, err := io.ReadAll(first.r); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the first is not cut off: %v", err)
	}
	if got := s.Refused(); got != (gateway.Refused{Unfinished: 1}) {
		t.Errorf("refused %+v", got)
	}
	for _, c := range []*raw{second, third} {
		c.write(t, maskedFrame(final|opContinued, ""))
		c.wantFrame(t, final|opText, bytesOf(gateway.MaxFrame))
	}
	begin() // they hold nothing any more
	begin()
	if got := s.Refused(); got != (gateway.Refused{Unfinished: 1}) {
		t.Errorf("refused %+v", got)
	}
}

// Who holds more gives way, whoever began first.
func TestUnfinishedMessagesOfTheHeaviestSourceGo(t *testing.T) {
	const each = 16<<10 + gateway.MaxFrame
	config := behindProxy(0, 0)
	config.Limits.Unfinished, config.Routes.Default = 3*each, echo
	s := serve(t, config)
	begin := func(from string) *raw {
		c := s.rawConn(t)
		c.write(t, []byte(strings.Replace(upgradeRequest, "Host:", "X-Forwarded-For: "+from+"\r\nHost:", 1)))
		c.wantSwitch(t)
		c.write(t, maskedFrame(opText, bytesOf(gateway.MaxFrame)))
		c.write(t, maskedFrame(final|opPing, "there?"))
		c.wantFrame(t, final|opPong, "there?")
		return c
	}
	slow := begin("192.0.2.1")
	var cut []*raw
	for range 5 {
		cut = append(cut, begin("192.0.2.2"))
	}
	for _, c := range cut[:3] {
		if _, err := io.ReadAll(c.r); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a stranger's is not cut off: %v", err)
		}
	}
	for _, c := range []*raw{slow, cut[3], cut[4]} {
		c.write(t, maskedFrame(final|opContinued, ""))
		c.wantFrame(t, final|opText, bytesOf(gateway.MaxFrame))
	}
	if got := s.Refused(); got != (gateway.Refused{Unfinished: 3}) {
		t.Errorf("refused %+v", got)
	}
}

// Strangers who hold back as much as they can do not keep others from sending.
func TestWhoeverSendsGoesBeforeThoseWhoHoldBack(t *testing.T) {
	const strangers, each, room = 80, 16<<10 + gateway.MaxFrame, 1 << 20
	s := serve(t, gateway.Config{Limits: gateway.Limits{Unfinished: room}, Routes: gateway.Routes{Default: echo}})
	user := s.dial(t, "/default")
	for n := range strangers {
		s.rawDial(t).write(t, maskedFrame(opText, bytesOf(gateway.MaxFrame))[:100]) // the header, and little more
		text := strings.Repeat("u", n) + bytesOf(gateway.MaxFrame-n)
		user.send(t, text)
		user.want(t, text)
	}
	eventually(t, "those who began first are cut off", func() bool { return s.Refused().Unfinished >= strangers-room/each })
}
