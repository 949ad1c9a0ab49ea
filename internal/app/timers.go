package app

import (
	"time"

	"github.com/owt-signal/owt-signal/internal/setting"
	"github.com/owt-signal/owt-signal/internal/socketio"
)

// Timers are those of a client's connection.
type Timers struct {
	Heartbeat socketio.Heartbeat
	Idle      time.Duration // of the gateway
}

// NewTimers returns the timers before anything is set.
func NewTimers() Timers { return Timers{socketio.DefaultHeartbeat, idle} }

// Settings returns all parameters there are; template.yaml leaves them out.
func (t *Timers) Settings() []setting.Setting {
	return []setting.Setting{
		setting.New("PING_INTERVAL", "ping-interval", "`duration` between two pings on a Socket.IO connection (default "+socketio.DefaultHeartbeat.Interval.String()+")",
			setting.Positive(&t.Heartbeat.Interval)),
		setting.New("PING_TIMEOUT", "ping-timeout", "`duration` by which a ping or its answer may be late (default "+socketio.DefaultHeartbeat.Timeout.String()+")",
			setting.Positive(&t.Heartbeat.Timeout)),
		setting.New("IDLE_TIMEOUT", "idle-timeout", "`duration` after which a silent connection is closed (default "+idle.String()+")",
			setting.Positive(&t.Idle)),
	}
}
