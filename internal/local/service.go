package local

import (
	"log/slog"
	"net"
	"net/http"
)

// service is an HTTP service for functions in other processes.
type service struct {
	server *http.Server
	at     net.Listener
}

func serve(address string, handler http.Handler, log *slog.Logger) (*service, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	s := &service{at: l, server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readRequest,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	go func() { _ = s.server.Serve(l) }()
	return s, nil
}

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
