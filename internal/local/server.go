package local

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/faults"
)

// How long a client may take to say what it wants, and all of them to go when
// the server ends.
const (
	readRequest = 10 * time.Second
	shutdown    = 4 * time.Second
	lastWork    = time.Second // of that, for the work that is under way when they have gone
)

// Run serves what the arguments ask for until ctx ends. It writes to stdout what
// is served, and the log to stderr. For -help it returns [flag.ErrHelp].
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stdout)
	if err != nil {
		return err
	}
	s, err := newServer(ctx, o, stderr)
	if err != nil {
		return err
	}
	fmt.Fprint(stdout, s.greeting())
	return s.serve(ctx)
}

// server is the local API on its listeners.
type server struct {
	api    *api
	http   *http.Server
	plain  net.Listener // nil: off
	secure net.Listener // nil: off
	stage  string
	faults *faults.Spec // nil: none
}

func newServer(ctx context.Context, o options, logs io.Writer) (*server, error) {
	log := slog.New(app.HashUsers(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: o.level}), o.limits.LogKey))
	a, err := newAPI(ctx, o, log, logs)
	if err != nil {
		return nil, err
	}
	s := &server{api: a, stage: o.stage, faults: o.faults}
	s.http = &http.Server{
		ReadTimeout: readRequest,
		IdleTimeout: readRequest,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	err = s.listen(o)
	if err == nil {
		s.http.Handler, err = newPage(s.api.gateway, o, s.secure)
	}
	if err != nil {
		s.closeListeners()
		s.api.close(ctx)
		return nil, err
	}
	return s, nil
}

func (s *server) listen(o options) (err error) {
	if o.plain != "" {
		if s.plain, err = net.Listen("tcp", o.plain); err != nil {
			return err
		}
	}
	if o.secure == "" {
		return nil
	}
	certificate, err := loadCertificate(o.cert, o.key)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.secure)
	if err != nil {
		return err
	}
	s.secure = tls.NewListener(l, &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{"http/1.1"}, // a WebSocket begins in HTTP/1.1
	})
	return nil
}

func (s *server) listeners() []net.Listener {
	var all []net.Listener
	for _, l := range []net.Listener{s.plain, s.secure} {
		if l != nil {
			all = append(all, l)
		}
	}
	return all
}

func (s *server) closeListeners() {
	for _, l := range s.listeners() {
		_ = l.Close()
	}
}

// serve serves until ctx ends, then closes every connection.
func (s *server) serve(ctx context.Context) error {
	if s.api.caution != "" {
		s.api.log.WarnContext(ctx, "who may connect", "caution", s.api.caution)
	}
	failed := make(chan error, 2)
	for _, l := range s.listeners() {
		go func() { failed <- s.http.Serve(l) }()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.api.keepalive(ctx)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	s.close()
	return err
}

// close tells every client that the server goes, and cuts off those that have
// not gone within shutdown.
func (s *server) close() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdown)
	defer cancel()
	s.api.close(ctx)
	_ = s.http.Close()
}
