package app

import (
	"fmt"
	"os"
	"time"

	"github.com/owt-signal/owt-signal/internal/socketio"
)

// What the local server tells of its timers; template.yaml leaves them out.
const (
	variablePing        = "PING_INTERVAL" // of Socket.IO connections, as 5m; unset: socketio.DefaultHeartbeat
	variablePingTimeout = "PING_TIMEOUT"
	variableIdle        = "IDLE_TIMEOUT" // of the gateway; unset: API Gateway's
)

// timersFromEnvironment returns the heartbeat, and the gateway's idle timeout, zero
// if the environment does not say.
func timersFromEnvironment() (heartbeat socketio.Heartbeat, idle time.Duration, err error) {
	heartbeat = socketio.DefaultHeartbeat
	for variable, d := range map[string]*time.Duration{
		variablePing: &heartbeat.Interval, variablePingTimeout: &heartbeat.Timeout, variableIdle: &idle,
	} {
		text := os.Getenv(variable)
		if text == "" {
			continue
		}
		if *d, err = time.ParseDuration(text); err != nil || *d <= 0 {
			return heartbeat, idle, fmt.Errorf("read environment: %s is %q, want a duration such as 5m", variable, text)
		}
	}
	return heartbeat, idle, nil
}
