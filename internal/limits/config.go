// Package limits is how much a client may do, as whoever runs the service
// says it: by the environment of a function, or the flags of owt-signal.
package limits

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/owt-signal/owt-signal/internal/secret"
	"github.com/owt-signal/owt-signal/internal/setting"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// The bounds of the settings.
const (
	MaxBurst                  = 100_000
	MinAuthenticateWithin     = time.Second
	MaxAuthenticateWithin     = time.Hour
	DefaultAuthenticateWithin = time.Minute
	MaxPingRate               = 10_000
	maxOrigins                = 64
)

// Config is the limits that may be set.
type Config struct {
	// Rate is how fast a user sends; zero: as fast as it likes.
	Rate lane.Rate
	// AuthenticateWithin is how long a connection may be nobody's.
	AuthenticateWithin time.Duration
	// Origins are the pages that browsers may connect from; nil: any.
	Origins []string
	// PingRate is how many connections keepalive visits per second; zero:
	// signal.PingRate.
	PingRate int
	// LogKey, if not empty, has users logged by a hash with this key;
	// LogKeySecret is the ARN or name of a secret that has it instead.
	LogKey, LogKeySecret string
}

// NewConfig is the limits before anything is set.
func NewConfig() Config { return Config{AuthenticateWithin: DefaultAuthenticateWithin} }

// Settings are all parameters there are.
var Settings = []setting.Setting[Config]{
	{Variable: "MESSAGE_RATE", Flag: "message-rate", Usage: "`messages` per second that a user may send in the long run, past which they are answered 2102 (default no limit)",
		Set: func(c *Config, v string) (err error) {
			c.Rate.PerSecond, err = number(v, 0, lane.MaxPerSecond)
			return err
		}},
	{Variable: "MESSAGE_BURST", Flag: "message-burst", Usage: "`messages` that a user may send at once, with -message-rate (default 1)",
		Set: func(c *Config, v string) (err error) {
			c.Rate.Burst, err = number(v, 1, MaxBurst)
			return err
		}},
	{Variable: "AUTHENTICATE_WITHIN", Flag: "authenticate-within", Usage: "`time` after which a connection that has not authenticated is ended (default 1m0s)",
		Set: func(c *Config, v string) (err error) {
			c.AuthenticateWithin, err = time.ParseDuration(v)
			if err == nil && (c.AuthenticateWithin < MinAuthenticateWithin || c.AuthenticateWithin > MaxAuthenticateWithin) {
				err = fmt.Errorf("%v is not between %v and %v", c.AuthenticateWithin, MinAuthenticateWithin, MaxAuthenticateWithin)
			}
			return err
		}},
	{Variable: "ALLOWED_ORIGINS", Flag: "origins", Usage: "`list` of the origins, such as https://example.com, whose pages may connect; whoever is no browser says none, and may (default any)",
		Set: func(c *Config, v string) (err error) {
			c.Origins, err = origins(v)
			return err
		}},
	{Variable: "PING_RATE",
		Set: func(c *Config, v string) (err error) {
			c.PingRate, err = number(v, 1, MaxPingRate)
			return err
		}},
	{Variable: "LOG_USER_KEY", Flag: "log-user-key", Usage: "secret `key` by whose hash users are logged instead of by their names",
		Set: func(c *Config, v string) error {
			c.LogKey = v
			return nil
		}},
	{Variable: "LOG_USER_KEY_ARN",
		Set: func(c *Config, v string) error {
			c.LogKeySecret = v
			return secret.CheckID(v)
		}},
}

// FromEnvironment is the limits as an environment has them.
func FromEnvironment(getenv func(string) string) (Config, error) {
	c := NewConfig()
	if err := setting.Read(Settings, &c, getenv); err != nil {
		return c, err
	}
	if c.LogKey != "" && c.LogKeySecret != "" {
		return c, errors.New("read environment: LOG_USER_KEY and LOG_USER_KEY_ARN exclude one another")
	}
	return c, nil
}

func number(v string, from, to int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < from || n > to {
		return 0, fmt.Errorf("%q is not a whole number from %d to %d", v, from, to)
	}
	return n, nil
}

// origins reads a list separated by commas or space. An origin is a scheme, a
// host and perhaps a port, as browsers write it (RFC 6454, section 6.2).
func origins(v string) ([]string, error) {
	list := strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
	if len(list) == 0 {
		return nil, errors.New("there is none")
	}
	if len(list) > maxOrigins {
		return nil, fmt.Errorf("%d, at most %d are allowed", len(list), maxOrigins)
	}
	for i, o := range list {
		list[i] = strings.ToLower(o)
		u, err := url.Parse(list[i])
		if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != list[i] {
			return nil, fmt.Errorf("%q is not an origin such as https://example.com", o)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}
