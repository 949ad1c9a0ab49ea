package e2e

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy is a stretch of network between clients and a server, which a test
// disturbs. Where it leads to can change, as the server's port does when it is
// started anew.
type proxy struct {
	Address  string // 127.0.0.1:port
	listener net.Listener
	target   atomic.Value // string
	work     sync.WaitGroup

	mu      sync.Mutex
	streams map[*stream]struct{}
	down    bool // nobody gets through
}

// stream is one connection through a proxy.
type stream struct {
	client, server net.Conn
	deaf           atomic.Bool
}

func newProxy(t *testing.T, s *server) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Address: l.Addr().String(), listener: l, streams: make(map[*stream]struct{})}
	p.leadTo(s)
	p.work.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.down = true
		p.mu.Unlock()
		l.Close()
		p.cut()
		p.work.Wait()
	})
	return p
}

func (p *proxy) leadTo(s *server) { p.target.Store(strings.TrimPrefix(s.Plain, "http://")) }

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.carry(c) })
	}
}

func (p *proxy) carry(c net.Conn) {
	defer c.Close()
	server, err := net.Dial("tcp", p.target.Load().(string))
	if err != nil {
		return
	}
	defer server.Close()
	s := &stream{client: c, server: server}
	p.mu.Lock()
	down := p.down
	p.streams[s] = struct{}{}
	p.mu.Unlock()
	if down {
		s.reset()
	}
	var both sync.WaitGroup
	both.Go(func() { s.copy(server, c) })
	both.Go(func() { s.copy(c, server) })
	both.Wait()
	p.mu.Lock()
	delete(p.streams, s)
	p.mu.Unlock()
}

// copy hands on what one side sends, and its end, unless the stream is deaf:
// then neither side hears of the other again.
func (s *stream) copy(to, from net.Conn) {
	b := make([]byte, 4<<10)
	for {
		n, err := from.Read(b)
		if s.deaf.Load() {
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				break
			}
		}
		if errors.Is(err, io.EOF) {
			_ = to.(*net.TCPConn).CloseWrite()
			return
		}
		if err != nil {
			break
		}
	}
	s.reset()
}

// reset ends both connections by a TCP reset: what is under way is lost.
func (s *stream) reset() {
	for _, c := range []net.Conn{s.client, s.server} {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// cut resets all connections.
func (p *proxy) cut() {
	for _, s := range p.all() {
		s.reset()
	}
}

// deafen makes all connections half-open: nothing is handed on any more, and
// nobody is told.
func (p *proxy) deafen() {
	for _, s := range p.all() {
		s.deaf.Store(true)
	}
}

// blackout lets nothing through for a while: what is connected is half-open, and
// nobody connects.
func (p *proxy) blackout(lasts time.Duration) {
	p.set(true)
	p.deafen()
	time.Sleep(lasts)
	p.set(false)
}

// wake resets the clients' side of what is half-open.
func (p *proxy) wake() {
	for _, s := range p.all() {
		if s.deaf.Load() {
			_ = s.client.(*net.TCPConn).SetLinger(0)
			_ = s.client.Close()
		}
	}
}

func (p *proxy) set(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

func (p *proxy) all() []*stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*stream, 0, len(p.streams))
	for s := range p.streams {
		all = append(all, s)
	}
	return all
}
