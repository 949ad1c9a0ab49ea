package local

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

func TestBadFaults(t *testing.T) {
	for spec, want := range map[string]string{
		"dealy=40ms":            `unknown setting "dealy"`,
		"delay=40ms,crash=\n":   "crash must be a probability",
		"delay=1.1s":            "delay must be a duration from 0 to 1s",
		"delay=40ms,delay=40ms": "delay is given twice",
		"seed=-1":               "seed must be a whole number",
	} {
		wantRefused(t, []string{"-faults", spec}, "-faults", want, "(see -help)")
	}
}

func TestNoFaultsAreInThePath(t *testing.T) {
	o, err := parse(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	a := &api{faults: faults.New(o.faults, slog.New(slog.DiscardHandler)), log: slog.New(slog.DiscardHandler)}
	h := newHandlers(o, memory.New(), signal.OpenAccess, nil, a)
	if _, ok := h.handler.Service.Store.(*memory.Store); !ok || h.faults != nil {
		t.Errorf("store %T, faults %v", h.handler.Service.Store, h.faults)
	}
	h.close(t.Context())
}

// TestFaultsAreAnnounced sees that a run can be repeated by what it says.
func TestFaultsAreAnnounced(t *testing.T) {
	s := start(t, "-faults", "crash=0.25,delay=3ms")
	again := regexp.MustCompile(`-faults (\S+)\n`).FindStringSubmatch(s.stdout.String())
	if len(again) == 0 || !strings.Contains(s.stderr.String(), again[1]) {
		t.Fatalf("stdout %q, stderr %q", &s.stdout, &s.stderr)
	}
	if spec, err := faults.Parse(again[1]); err != nil || spec.String() != again[1] || !strings.HasPrefix(again[1], "delay=3ms,crash=0.25,seed=") {
		t.Errorf("%s: %v, %v", again[1], spec, err)
	}
}

// TestOrderUnderFaults has a burst of messages arrive once and in order.
func TestOrderUnderFaults(t *testing.T) {
	const messages = 40
	s := start(t, "-faults", "delay=10ms,duplicate=0.2,slow-store=5ms,throttle=0.01,lost-disconnect=0.5")
	bob, alice := s.join(t, "bob"), s.join(t, "alice")
	for i := range messages {
		say(t, alice, `{"type":"message","id":%d,"to":"bob","data":%d}`, i+1, i)
	}
	for i := range messages {
		if m := next(t, bob); !strings.Contains(m, fmt.Sprintf(`"data":%d}`, i)) {
			t.Fatalf("message %d: %s", i, m)
		}
	}
	for acked := make(map[string]bool); len(acked) < messages; {
		if m := next(t, alice); strings.HasPrefix(m, `{"type":"ack"`) {
			acked[m] = true // twice, if the invocation ran twice
		} else if !strings.HasPrefix(m, `{"type":"stored"`) {
			t.Fatalf("instead of an ack: %s", m)
		}
	}
}

// TestKeyLimit has the keys of a DynamoDB serve two write units a second, of which a
// burst needs many more.
func TestKeyLimit(t *testing.T) {
	for name, flags := range map[string]func(*testing.T) []string{
		"in this process": func(*testing.T) []string { return nil },
		"in functions":    func(t *testing.T) []string { return []string{"-functions", lay(t, "make build")} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, append(flags(t), "-dynamodb", engine(t), "-faults", "key-limit=2")...)
			alice := s.join(t, "alice")
			for id := range 30 {
				say(t, alice, `{"type":"message","id":%d,"to":"alice","data":%d}`, id+1, id)
			}
			for !strings.HasPrefix(next(t, alice), `{"type":"message"`) {
			}
			eventually(t, "a key that is throttled", func() bool {
				return strings.Contains(s.stderr.String(), `"msg":"key throttled","write":true`)
			})
		})
	}
}

// TestEndUnderFaults sees that what is late ends with the server, as soon as
// without faults; what it leaves running the leak check finds.
func TestEndUnderFaults(t *testing.T) {
	s := start(t, "-faults", "delay=200ms,slow-store=200ms,duplicate=1,crash=0.1,throttle=0.5")
	for range 5 {
		conn, _, err := websocket.Dial(t.Context(), "ws://"+s.plain+"/prod?token=alice", nil)
		if err != nil {
			continue // its invocation has crashed
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		for id := range 5 {
			say(t, conn, `{"type":"message","id":%d,"to":"alice","data":0}`, id+1)
		}
		go func() { _ = closeCode(conn) }() // which answers the server's close
	}
	s.wantEnd(t)
}

// join opens a JSON client of that name and reads until it is welcome.
func (s *running) join(t *testing.T, name string) *websocket.Conn {
	t.Helper()
	conn := s.dial(t, "ws://"+s.plain+"/prod?token="+name)
	for _, kind := range []string{"open", "welcome"} {
		if m := next(t, conn); !strings.HasPrefix(m, `{"type":"`+kind+`"`) {
			t.Fatalf("%s: %s, not %s", name, m, kind)
		}
	}
	return conn
}

func say(t *testing.T, conn *websocket.Conn, format string, args ...any) {
	t.Helper()
	if err := conn.Write(t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		t.Fatal(err)
	}
}
