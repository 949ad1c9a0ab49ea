package local

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// service is an HTTP service for functions in other processes.
type service struct {
	server *http.Server
	at     net.Listener
}

// serve serves programs on this machine and its network alone.
func serve(address string, handler http.Handler, log *slog.Logger) (*service, error) {
	return serveAll(address, programsOnly(address, handler), log)
}

// serveAll serves whoever reaches the address.
func serveAll(address string, handler http.Handler, log *slog.Logger) (*service, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	s := &service{at: l, server: &http.Server{
		Handler:        handler,
		ReadTimeout:    readRequest,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	go func() { _ = s.server.Serve(l) }()
	return s, nil
}

// programsOnly refuses what a browser sends, on behalf of a page that has no
// business here: any request with an Origin, or of its own kind, and one to a
// host that is not this machine, whose name somebody has made resolve to it (DNS
// rebinding). An address cannot be made to.
func programsOnly(address string, next http.Handler) http.Handler {
	own, _, _ := net.SplitHostPort(address) // was listened on
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := strings.ToLower((&url.URL{Host: r.Host}).Hostname())
		_, err := netip.ParseAddr(host)
		foreign := host == "" || err != nil && !slices.Contains([]string{"localhost", containerHost, own}, host)
		if foreign || r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
			http.Error(w, `{"message":"Forbidden"}`, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// containerHost is how Docker's containers call the machine that they run on.
const containerHost = "host.docker.internal"

// url is where a process on this machine finds the service.
func (s *service) url() string { return "http://" + hostPort(s.at.Addr()) }

// close ends the service, if there is one.
func (s *service) close() {
	if s != nil {
		_ = s.server.Close()
	}
}

// serveManagement serves the gateway's @connections, once there is a gateway,
// to functions in other processes. They find it under the stage.
func (a *api) serveManagement(o options) (err error) {
	a.management, err = serve(o.management, a.faults.Management(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.gateway.Management().ServeHTTP(w, r)
	})), a.log)
	return err
}
