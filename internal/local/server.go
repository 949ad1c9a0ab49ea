package local

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/faults"
)

// How long a client may take to say what it wants, and all of them to go when
// the server ends.
const (
	readRequest = 10 * time.Second
	shutdown    = 4 * time.Second
	lastWork    = time.Second // of that, for the work that is under way when they have gone
)

// maxHeader is how long a request's headers may be, in bytes: room for a token
// (signal.MaxToken) and what browsers say of themselves.
const maxHeader = 16 << 10

// Run serves what the arguments ask for until ctx ends. It writes to stdout what
// is served, and the log to stderr; or to stdout what -help and -version ask for.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
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
	api         *api
	http        *http.Server
	listeners   []listener
	certificate *certificate // nil: -secure is off
	admin       *service     // health and metrics; nil: there is none
	backends    *service     // the API for backends; nil: there is none
	ending      atomic.Bool
	log         *slog.Logger
	stage       string
	faults      *faults.Spec // nil: none
}

// listener is an address, with the schemes that clients reach it by.
type listener struct {
	net.Listener
	http, ws string
}

func newServer(ctx context.Context, o options, logs io.Writer) (*server, error) {
	logKey, err := app.LogKey(ctx, o.limits, awsenv.ConfigOr("us-east-1", "local"))
	if err != nil {
		return nil, err
	}
	log := slog.New(app.HashUsers(app.BoundLog(o.logHandler(logs)), logKey))
	a, err := newAPI(ctx, o, log, logs)
	if err != nil {
		return nil, err
	}
	s := &server{api: a, stage: o.stage, faults: o.faults, log: log}
	s.http = &http.Server{
		ReadTimeout: readRequest,
		IdleTimeout: readRequest,
		ConnState:   a.gateway.ConnState,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),

		MaxHeaderBytes: maxHeader,
	}
	o.warnOfReadable(log)
	err = s.listen(o)
	if err == nil {
		s.http.Handler, err = newPage(front{s.api.lobby, s.api.gateway, o.stage}, o, s.listeners)
	}
	if err == nil {
		err = s.serveAdmin(o)
	}
	if err == nil {
		s.backends, err = a.serveBackends(ctx, o)
	}
	if err != nil {
		for _, l := range s.listeners {
			_ = l.Close()
		}
		s.admin.close()
		s.api.close()
		return nil, err
	}
	return s, nil
}

func (s *server) listen(o options) error {
	if o.plain != "" {
		l, err := net.Listen("tcp", o.plain)
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, listener{l, "http", "ws"})
	}
	if o.secure == "" {
		return nil
	}
	certificate, err := newCertificate(o, s.log)
	if err != nil {
		return err
	}
	s.certificate = certificate
	l, err := tls.Listen("tcp", o.secure, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate.get(time.Now()), nil },
		NextProtos:     []string{"http/1.1"}, // a WebSocket begins in HTTP/1.1
	})
	if err != nil {
		return err
	}
	s.listeners = append(s.listeners, listener{l, "https", "wss"})
	return nil
}

// serve serves until ctx ends, then closes every connection.
func (s *server) serve(ctx context.Context) error {
	if s.api.caution != "" {
		s.api.log.WarnContext(ctx, "who may connect", "caution", s.api.caution)
	}
	warnOfFiles(s.log, s.api.gateway.MaxConnections())
	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		s.log.InfoContext(ctx, "serving", "scheme", l.http, "address", l.Addr().String())
		go func() { failed <- s.http.Serve(l) }()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.api.keepalive(ctx)
	var err error
	select {
	case <-ctx.Done():
		s.log.InfoContext(ctx, "server ends", "reason", context.Cause(ctx).Error(), "connections", s.api.gateway.Connections())
	case err = <-failed:
		s.log.ErrorContext(ctx, "server ends", "error", err, "connections", s.api.gateway.Connections())
	}
	s.ending.Store(true)
	cancel()
	s.backends.close()
	s.api.close()
	_ = s.http.Close()
	s.admin.close()
	return err
}
