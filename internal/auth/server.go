package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/webhook"
)

// Server is the authenticator that asks an HTTP server of the user's own, by signed
// requests, what [Function] asks a Lambda function.
type Server struct {
	client  *webhook.Client
	headers []string
	timeout time.Duration
}

var _ signal.Authenticator = (*Server)(nil)

// newServer is the authenticator that c, which has been checked, asks for. The secret
// is read once.
func newServer(ctx context.Context, c Config, config aws.Config) (*Server, error) {
	key, err := webhook.ReadSecret(ctx, config, c.ServerSecretFile, c.ServerSecret)
	if err != nil {
		return nil, fmt.Errorf("configure authentication: %w", err)
	}
	return &Server{client: webhook.NewClient(c.URL, key, c.Timeout, time.Now), headers: c.Headers, timeout: c.Timeout}, nil
}

// Needs implements [signal.Authenticator].
func (s *Server) Needs() signal.Needs { return signal.Needs{Client: true, Headers: s.headers} }

// Authenticate implements [signal.Authenticator]. A server that fails lets nobody in,
// nor does one whose answer cannot be understood.
func (s *Server) Authenticate(ctx context.Context, c signal.Credentials) (signal.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	answer, err := s.ask(ctx, c)
	if err != nil {
		return signal.Identity{}, fmt.Errorf("ask %s: %w", s.client.Name(), err)
	}
	id, err := readVerdict(answer)
	if err != nil {
		return signal.Identity{}, fmt.Errorf("read the answer of %s: %w", s.client.Name(), err)
	}
	return id, nil
}

func (s *Server) ask(ctx context.Context, c signal.Credentials) ([]byte, error) {
	body, err := encodeQuestion(c)
	if err != nil {
		return nil, err
	}
	return s.client.Post(ctx, body, maxAnswer)
}
