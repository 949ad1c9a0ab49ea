package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Limits are what strangers may take of this machine. API Gateway has none of them.
type Limits struct {
	// Connections bounds connections, from their handshake on, PerAddress those of one source. As many sockets besides may
	// be open that are no WebSocket, or none yet. DefaultConnections and DefaultPerAddress if zero.
	Connections, PerAddress int

	// Unfinished bounds what is kept in memory of messages that have not come to their end, in bytes. DefaultUnfinished if
	// zero.
	Unfinished int

	// Proxies are the addresses whose X-Forwarded-For is believed.
	Proxies []netip.Prefix
}

// Refused is how often each limit has refused something.
type Refused struct {
	Connections int64 // handshakes, with 503
	PerAddress  int64 // handshakes, with 429
	Sockets     int64 // closed before a request was read
	Unfinished  int64 // connections cut off within a message
}

// Refused returns the counts since the start.
func (g *Gateway) Refused() Refused {
	g.mu.RLock()
	defer g.mu.RUnlock()
	refused := g.refused
	refused.Unfinished = g.engine.CutOff()
	return refused
}

// Connections returns how many there are, from their handshake on.
func (g *Gateway) Connections() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.admitted.all
}

// MaxConnections returns how many there may be.
func (g *Gateway) MaxConnections() int { return g.config.Limits.Connections }

// quota counts what is there, in all and from each source.
type quota struct {
	all  int
	from map[netip.Prefix]int
}

func (q *quota) add(from netip.Prefix) {
	q.all++
	q.from[from]++
}

func (q *quota) remove(from netip.Prefix) {
	q.all--
	if q.from[from]--; q.from[from] == 0 {
		delete(q.from, from)
	}
}

// ConnState is for the http.Server that serves g. It closes sockets past the limits that are no WebSocket.
func (g *Gateway) ConnState(conn net.Conn, state http.ConnState) {
	peer := addressOf(conn.RemoteAddr().String())
	from := network(peer)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch state {
	case http.StateNew:
		g.sockets.add(from)
		if g.sockets.all > g.config.Limits.Connections || g.sockets.from[from] > g.config.Limits.PerAddress && !g.trusts(peer) {
			g.refused.Sockets++
			_ = conn.Close() // the server finds it closed
		}
	case http.StateHijacked, http.StateClosed:
		g.sockets.remove(from)
	}
}

// source returns the address that a request came from: its peer, or what proxies that are trusted say of it. Each appends
// whom it got the request from to X-Forwarded-For, so the rightmost that is not trusted is the source; what is left of it
// the client may have made up. Not valid if it cannot be told.
func (g *Gateway) source(r *http.Request) netip.Addr {
	address := addressOf(r.RemoteAddr)
	forwarded := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for forwarded != "" && g.trusts(address) {
		at := strings.LastIndexByte(forwarded, ',')
		next := addressOf(strings.TrimSpace(forwarded[at+1:]))
		if !next.IsValid() {
			break
		}
		address, forwarded = next, forwarded[:max(at, 0)]
	}
	return address
}

func (g *Gateway) trusts(address netip.Addr) bool {
	return slices.ContainsFunc(g.config.Limits.Proxies, func(p netip.Prefix) bool { return p.Contains(address) })
}

// addressOf reads an address, with a port or without; not valid if it is none.
func addressOf(text string) netip.Addr {
	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		with, _ := netip.ParseAddrPort(text)
		address = with.Addr()
	}
	return address.Unmap().WithZone("")
}

// network is what counts as one source: an IPv4 address, or the /64 of an IPv6 address, of which a site has one at least
// (RFC 6177, section 2).
func network(address netip.Addr) netip.Prefix {
	bits := min(address.BitLen(), 64)
	prefix, _ := address.Prefix(bits) // of no address, none
	return prefix
}
