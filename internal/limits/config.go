// Package limits is how much a client may do, as whoever runs the service
// says it: by the environment of a function, or the flags of owt-signal.
package limits

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/owt-signal/owt-signal/internal/secret"
	"github.com/owt-signal/owt-signal/internal/setting"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// The bounds of the settings.
const (
	MaxBurst                  = 100_000
	MinAuthenticateWithin     = time.Second
	MaxAuthenticateWithin     = time.Hour
	DefaultAuthenticateWithin = time.Minute
	MaxPingRate               = 10_000
)

// Config is the limits that may be set.
type Config struct {
	// Rate is how fast a user sends; zero: as fast as it likes.
	Rate lane.Rate
	// AuthenticateWithin is how long a connection may be nobody's.
	AuthenticateWithin time.Duration
	// RecoverFor is for how long what is posted to clients that recover is kept; zero:
	// nothing is.
	RecoverFor time.Duration
	// Origins are the pages that browsers may connect from, as browsers write
	// them, and with * for one label at the beginning; nil: any.
	Origins []string
	// PingRate is how many connections keepalive visits per second; zero:
	// signal.PingRate.
	PingRate int
	// LogKey, if not empty, has users logged by a hash with this key, which
	// may have come from LogKeyFile; LogKeySecret is the ARN or name of a secret
	// that has it instead.
	LogKey, LogKeyFile, LogKeySecret string
	// Edge is by what a distribution in front is known; empty: there is none.
	Edge string
}

// NewConfig is the limits before anything is set.
func NewConfig() Config {
	return Config{AuthenticateWithin: DefaultAuthenticateWithin, RecoverFor: signal.DefaultRecoverFor}
}

// Settings returns all parameters there are.
func (c *Config) Settings() []setting.Setting {
	return []setting.Setting{
		setting.New("MESSAGE_RATE", "message-rate", "`messages` per second that a user may send in the long run, past which they are answered 2102 (default no limit)",
			setting.Number(&c.Rate.PerSecond, 0, lane.MaxPerSecond)),
		setting.New("MESSAGE_BURST", "message-burst", "`messages` that a user may send at once, with -message-rate (default 1)",
			setting.Number(&c.Rate.Burst, 1, MaxBurst)),
		setting.New("AUTHENTICATE_WITHIN", "authenticate-within", "`time` after which a connection that has not authenticated is ended (default 1m0s)",
			setting.Duration(&c.AuthenticateWithin, MinAuthenticateWithin, MaxAuthenticateWithin)),
		setting.New("RECOVER_FOR", "recover-for", "`seconds` for which what is sent to a client that recovers is kept, in case its link was lost; 0: nothing is kept (default 120)",
			setting.Parsed(&c.RecoverFor, recoverFor)),
		setting.New("ALLOWED_ORIGINS", "origins", "`list` of the origins, such as https://example.com or https://*.example.com, whose pages may connect; whoever is no browser says none, and may (default any)",
			setting.Parsed(&c.Origins, origins)),
		setting.New("PING_RATE", "", "", setting.Number(&c.PingRate, 1, MaxPingRate)),
		setting.New("LOG_USER_KEY", "", "", c.setLogKey),
		setting.New("LOG_USER_KEY_FILE", "log-user-key-file", "`file` with the secret key by whose hash users are logged instead of by their names; or set LOG_USER_KEY",
			c.readLogKey),
		setting.New("LOG_USER_KEY_ARN", "", "", setting.Text(&c.LogKeySecret, c.checkLogKey, secret.CheckID)),
		setting.New("EDGE_KEY", "", "", setting.Text(&c.Edge)),
	}
}

// FromEnvironment is the limits as an environment has them.
func FromEnvironment(getenv func(string) string) (Config, error) {
	c := NewConfig()
	err := setting.FromEnvironment(getenv, c.Settings())
	return c, err
}

// checkLogKey says whether LogKey is given already.
func (c *Config) checkLogKey(string) error {
	if c.LogKey != "" {
		return errors.New("LOG_USER_KEY, LOG_USER_KEY_FILE (-log-user-key-file) and LOG_USER_KEY_ARN exclude one another")
	}
	return nil
}

func (c *Config) setLogKey(key string) error {
	if err := c.checkLogKey(key); err != nil {
		return err
	}
	c.LogKey = key
	return nil
}

// recoverFor reads for how long history is kept.
func recoverFor(v string) (time.Duration, error) {
	n, err := strconv.Atoi(v)
	if d := time.Duration(n) * time.Second; err == nil && (n == 0 || signal.MinRecoverFor <= d && d <= signal.MaxRecoverFor) {
		return d, nil
	}
	return 0, fmt.Errorf("%q is not 0 or a whole number of seconds from %.0f to %.0f", v, signal.MinRecoverFor.Seconds(), signal.MaxRecoverFor.Seconds())
}

// readLogKey reads LogKey from a file.
func (c *Config) readLogKey(name string) error {
	key, err := secret.ReadFile(name)
	if err == nil && len(key) == 0 {
		err = fmt.Errorf("read secret %s: it is empty", name)
	}
	if err == nil {
		err = c.setLogKey(string(key))
	}
	if err != nil {
		return err
	}
	c.LogKeyFile, err = filepath.Abs(name)
	return err
}
