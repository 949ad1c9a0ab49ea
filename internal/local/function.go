package local

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// function is one of template.yaml's.
type function struct {
	name, logicalID string
	timeout         time.Duration
}

var (
	connect    = function{"connect", "ConnectFunction", 60 * time.Second}
	disconnect = function{"disconnect", "DisconnectFunction", 10 * time.Second}
	message    = function{"message", "MessageFunction", 60 * time.Second}
	lobby      = function{"lobby", "LobbyFunction", 30 * time.Second}
	keepalive  = function{"keepalive", "KeepaliveFunction", 240 * time.Second}
	backendAPI = function{"api", "ApiFunction", 30 * time.Second}
)

var allFunctions = []function{connect, disconnect, message, lobby, keepalive, backendAPI}

// exchange makes an invocation in Lambda's JSON.
func exchange[E, R any](ctx context.Context, ev E, invoke func(context.Context, []byte) ([]byte, error)) (r R, err error) {
	payload, err := json.Marshal(ev)
	if err != nil {
		return r, fmt.Errorf("encode event: %w", err)
	}
	answer, err := invoke(ctx, payload)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(answer, &r); err != nil {
		return r, fmt.Errorf("decode answer: %w", err)
	}
	return r, nil
}
