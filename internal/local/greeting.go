package local

import (
	"fmt"
	"net"
	"strings"
)

// greeting says what is served, and how to point a client at it.
func (s *server) greeting() string {
	var b strings.Builder
	b.WriteString("OWT signaling server. Ctrl-C ends it.\n\n")
	for _, l := range s.listeners {
		host := hostPort(l.Addr())
		fmt.Fprintf(&b, "  OWT SDKs and Socket.IO  %s://%s/socket.io/\n", l.http, host)
		fmt.Fprintf(&b, "  JSON over WebSocket     %s://%s/%s\n", l.ws, host, s.stage)
		fmt.Fprintf(&b, "  Try it in a browser     %s://%s/\n", l.http, host)
	}
	if m := s.api.management; m != nil {
		fmt.Fprintf(&b, "  @connections            %s/%s\n", m.url(), s.stage)
	}
	if s.backends != nil {
		fmt.Fprintf(&b, "  HTTP API for backends   %s/v1/, /openapi.yaml\n", s.backends.url())
	}
	if s.admin != nil {
		fmt.Fprintf(&b, "  Health and metrics      %s/healthz, /readyz, /metrics\n", s.admin.url())
	}
	base := s.listeners[0].http + "://" + hostPort(s.listeners[0].Addr()) // there is one
	fmt.Fprintf(&b, "\nPoint an OWT client, or any Socket.IO client, at %s:\n", base)
	fmt.Fprintf(&b, "  io('%s')\n", base)
	if s.faults != nil {
		fmt.Fprintf(&b, "\nIt misbehaves on purpose. The same again: -faults %s\n", s.faults)
	}
	return b.String()
}

// hostPort is an address as a client on this machine writes it.
func hostPort(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
