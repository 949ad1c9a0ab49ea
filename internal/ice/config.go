// Package ice is the ICE servers that clients get: STUN and TURN, those with
// credentials that expire. docs/ice.md describes them.
package ice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/secret"
	"github.com/owt-signal/owt-signal/internal/setting"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// Defaults and bounds of the settings. TURN servers look at a credential when an
// allocation is made, so it must last for the setup of a call, and a client's own
// asking anew. A day is what the scheme recommends (draft-uberti-behave-turn-rest-00,
// section 2.2).
const (
	MaxServers      = 8
	DefaultLifetime = 12 * time.Hour
	MinLifetime     = time.Minute
	MaxLifetime     = 24 * time.Hour
)

// MinSecret is the shortest secret, in bytes: whoever has a credential can try
// secrets until one fits, and HMAC needs as many as its hash has (RFC 2104,
// section 3). MaxSecret is the longest that coturn keeps (AUTH_SECRET_SIZE).
const (
	MinSecret = 20
	MaxSecret = 512
)

// Config is which ICE servers there are, in words.
type Config struct {
	URLs       []string // of STUN and TURN servers
	Secret     string   // ARN or name of the secret that the TURN servers share
	SecretFile string   // the same in a file
	Lifetime   time.Duration
}

// NewConfig is the configuration before anything is set.
func NewConfig() Config { return Config{Lifetime: DefaultLifetime} }

// Settings returns all parameters there are.
func (c *Config) Settings() []setting.Setting {
	return []setting.Setting{
		setting.New("ICE_SERVERS", "ice-servers", "`list` of the STUN and TURN servers that clients are told of, such as stun:stun.example.com, turns:turn.example.com:5349?transport=tcp (default none)",
			setting.Parsed(&c.URLs, urls)),
		setting.New("TURN_SECRET_ARN", "", "", setting.Text(&c.Secret, secret.CheckID)),
		setting.New("TURN_SECRET_FILE", "turn-secret-file", "with -ice-servers: `file` with the secret that the TURN servers share (coturn: static-auth-secret)",
			setting.Parsed(&c.SecretFile, filepath.Abs)),
		setting.New("TURN_LIFETIME", "turn-lifetime", "with -turn-secret-file: how long a client's credentials are good (`duration`, default 12h, from 1m to 24h)",
			setting.Duration(&c.Lifetime, MinLifetime, MaxLifetime)),
	}
}

// ReadEnvironment reads the settings' variables.
func ReadEnvironment(getenv func(string) string) (Config, error) {
	c := NewConfig()
	err := setting.Read(getenv, &c)
	return c, err
}

// Check says what does not go together.
func (c Config) Check() error {
	switch {
	case c.Shared() && len(c.URLs) == 0:
		return errors.New("TURN_SECRET_ARN (-turn-secret-file) needs servers: ICE_SERVERS (-ice-servers)")
	case c.Secret != "" && c.SecretFile != "":
		return errors.New("TURN_SECRET_ARN and TURN_SECRET_FILE exclude one another")
	default:
		return nil
	}
}

// Missing says that TURN servers have no secret, which no rule of CloudFormation sees;
// empty: nothing is missing. Clients are not told of them: a browser throws at one
// without credentials (W3C WebRTC 1.0, section 4.4.1.6).
func (c Config) Missing() string {
	if _, turn := c.parted(); len(turn) == 0 || c.Shared() {
		return ""
	}
	return "TURN servers in ICE_SERVERS (-ice-servers) need a secret: TURN_SECRET_ARN (-turn-secret-file)"
}

// Shared reports whether there is a secret that the TURN servers share.
func (c Config) Shared() bool { return c.Secret != "" || c.SecretFile != "" }

// FromEnvironment is the ICE servers that the environment of a Lambda function
// configures; nil: none. It logs what is missing.
func FromEnvironment(ctx context.Context, log *slog.Logger) (signal.ICEServers, error) {
	c, err := ReadEnvironment(os.Getenv)
	if err != nil {
		return nil, err
	}
	if missing := c.Missing(); missing != "" {
		log.WarnContext(ctx, "ICE servers", "caution", missing)
	}
	return New(ctx, c, awsenv.Config())
}

// New is the ICE servers that c configures; nil: none. The secret is read once.
func New(ctx context.Context, c Config, config aws.Config) (signal.ICEServers, error) {
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("configure ICE servers: %w", err)
	}
	stun, turn := c.parted()
	if len(turn) == 0 || !c.Shared() {
		return without(stun), nil
	}
	s, err := secret.Read(ctx, config, c.SecretFile, c.Secret)
	if err == nil {
		err = checkSecret(s)
	}
	if err != nil {
		return nil, fmt.Errorf("configure ICE servers: %w", err)
	}
	return with(stun, turn, s, c.Lifetime), nil
}

// checkSecret reports why s cannot be what a TURN server has, too.
func checkSecret(s []byte) error {
	switch err := secret.CheckText(s); {
	case len(s) < MinSecret || len(s) > MaxSecret:
		return fmt.Errorf("use secret: it has %d bytes, from %d to %d are allowed", len(s), MinSecret, MaxSecret)
	case err != nil:
		return fmt.Errorf("use secret: %w", err)
	case strings.ContainsFunc(string(s), func(c rune) bool { return c <= ' ' || c > '~' }):
		return errors.New("use secret: it has a space, a line break, or what is not ASCII")
	default:
		return nil
	}
}

// parted returns the URLs of STUN servers and those of TURN servers.
func (c Config) parted() (stun, turn []string) {
	for _, url := range c.URLs {
		if strings.HasPrefix(url, "stun") {
			stun = append(stun, url)
		} else {
			turn = append(turn, url)
		}
	}
	return stun, turn
}

func urls(v string) ([]string, error) {
	list := setting.List(v)
	if len(list) == 0 || len(list) > MaxServers {
		return nil, fmt.Errorf("%d entries, from 1 to %d are allowed", len(list), MaxServers)
	}
	for _, url := range list {
		if err := checkURL(url); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// uri is a STUN URI (RFC 7064, section 3.1), or a TURN URI (RFC 7065, section 3.1)
// with a transport that browsers know: scheme, host, port, transport.
var uri = regexp.MustCompile(`^(stuns?|turns?):(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z](?:[0-9A-Za-z.-]*[0-9A-Za-z])?)(?::([0-9]{1,5}))?(\?transport=(?:udp|tcp))?$`)

const maxPort = 1<<16 - 1

func checkURL(url string) error {
	parts := uri.FindStringSubmatch(url)
	if parts == nil {
		return fmt.Errorf("%q is no URL such as stun:stun.example.com or turns:turn.example.com:5349?transport=tcp", url)
	}
	scheme, host, port, transport := parts[1], parts[2], parts[3], parts[4]
	if host[0] == '[' {
		if a, err := netip.ParseAddr(host[1 : len(host)-1]); err != nil || !a.Is6() {
			return fmt.Errorf("%q has no address of IPv6 in brackets", url)
		}
	}
	if n, err := strconv.Atoi(port); port != "" && (err != nil || n == 0 || n > maxPort) {
		return fmt.Errorf("%q has a port that is not from 1 to %d", url, maxPort)
	}
	if transport != "" && strings.HasPrefix(scheme, "stun") {
		return fmt.Errorf("%q: a STUN URL has no transport", url)
	}
	return nil
}
