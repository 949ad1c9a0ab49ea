package auth

import (
	"errors"
	"fmt"
	"net/textproto"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/owt-signal/owt-signal/internal/secret"
	"github.com/owt-signal/owt-signal/internal/setting"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/versions"
)

// The modes that there are.
const (
	ModeToken  = "token"  // the token is the name
	ModeJWT    = "jwt"    // a JSON Web Token
	ModeLambda = "lambda" // a function of the user's own is asked
)

// Defaults and limits of the settings.
const (
	DefaultClaim   = "sub"
	DefaultSkew    = 30 * time.Second
	MaxSkew        = 5 * time.Minute
	DefaultTimeout = 3 * time.Second
	maxHeaders     = 16
	maxListed      = 32 // audiences
)

// Config is who may connect, and as what, in words.
type Config struct {
	Mode      string // empty: ModeToken
	Anonymous *bool  // nil: with ModeToken
	Sources   signal.Sources
	Versions  versions.Policy

	Secret     string // ARN or name of the shared secret
	SecretFile string // the same in a file
	KeySet     string // URL of a JSON Web Key Set
	Issuer     string
	Audience   []string
	Algorithms []string // nil: all that go with the keys
	Claim      string   // which has the user's name; empty: DefaultClaim
	Skew       time.Duration
	Outlive    bool // a connection may outlive its token

	Function string // name or ARN of the function to ask
	Headers  []string
	Timeout  time.Duration
}

// NewConfig is the configuration before anything is set.
func NewConfig() Config {
	return Config{Claim: DefaultClaim, Skew: DefaultSkew, Timeout: DefaultTimeout}
}

// Settings are all parameters there are.
var Settings = []setting.Setting[Config]{
	{Variable: "AUTH_MODE", Flag: "auth", Usage: "who a client is: `mode` token (the token is the name: anyone can be anyone), jwt, or lambda (a function says) (default token)",
		Set: func(c *Config, v string) error {
			c.Mode = v
			return oneOf(v, ModeToken, ModeJWT, ModeLambda)
		}},
	{Variable: "ANONYMOUS", Flag: "anonymous", Usage: "whether clients without a token are let in, under a name made up: `allow` or refuse (default allow with -auth token, refuse otherwise)",
		Set: func(c *Config, v string) error {
			allow := v == "allow"
			c.Anonymous = &allow
			return oneOf(v, "allow", "refuse")
		}},
	{Variable: "TOKEN_SOURCES", Flag: "token-sources", Usage: "ways for a token to come, `list` of event, header, subprotocol, query (default all)",
		Set: func(c *Config, v string) (err error) {
			c.Sources, err = sources(v)
			return err
		}},
	{Variable: "ACCEPTED_VERSIONS", Flag: "versions", Usage: "client versions to serve, `list` such as \"4.3.1, >=5.0 <6; Android: required, 4.x\" (default " + versions.Default + ")",
		Set: func(c *Config, v string) (err error) {
			c.Versions, err = versions.Parse(v)
			return err
		}},
	{Variable: "JWT_SECRET_ARN",
		Set: func(c *Config, v string) error {
			c.Secret = v
			return secret.CheckID(v)
		}},
	{Variable: "JWT_SECRET_FILE", Flag: "jwt-secret-file", Usage: "with -auth jwt: `file` with the secret that tokens are signed with (HS256, HS384, HS512)",
		Set: func(c *Config, v string) (err error) {
			c.SecretFile, err = filepath.Abs(v)
			return err
		}},
	{Variable: "JWT_JWKS_URL", Flag: "jwks", Usage: "with -auth jwt: `URL` of the JSON Web Key Set that tokens are signed with",
		Set: func(c *Config, v string) error {
			c.KeySet = v
			return checkURL(v)
		}},
	{Variable: "JWT_ISSUER", Flag: "jwt-issuer", Usage: "with -auth jwt: the issuer that tokens must name, whose keys are discovered at this `URL` unless -jwks or -jwt-secret-file has them",
		Set: func(c *Config, v string) error {
			c.Issuer = v
			return nil
		}},
	{Variable: "JWT_AUDIENCE", Flag: "jwt-audience", Usage: "with -auth jwt: `list` of audiences, one of which a token must be meant for (default any)",
		Set: func(c *Config, v string) error {
			c.Audience = fields(v)
			return atMost(c.Audience, maxListed)
		}},
	{Variable: "JWT_ALGORITHMS", Flag: "jwt-algorithms", Usage: "with -auth jwt: `list` of algorithms to accept (default all that go with the keys)",
		Set: func(c *Config, v string) error {
			c.Algorithms = fields(v)
			return checkAlgorithms(c.Algorithms)
		}},
	{Variable: "JWT_CLAIM", Flag: "jwt-claim", Usage: "with -auth jwt: `name` of the claim that has the user's name (default " + DefaultClaim + ")",
		Set: func(c *Config, v string) error {
			c.Claim = v
			return nil
		}},
	{Variable: "JWT_SKEW", Flag: "jwt-skew", Usage: "with -auth jwt: how much the issuer's clock may differ (`duration`, default 30s, at most 5m)",
		Set: func(c *Config, v string) (err error) {
			c.Skew, err = duration(v, 0, MaxSkew)
			return err
		}},
	{Variable: "JWT_OUTLIVE", Flag: "jwt-outlive", Usage: "with -auth jwt: whether connections may outlive the token: `true` or false (default false)",
		Set: func(c *Config, v string) (err error) {
			c.Outlive, err = strconv.ParseBool(v)
			if err != nil {
				return errors.New("true or false is needed")
			}
			return nil
		}},
	{Variable: "AUTH_FUNCTION", Flag: "auth-function", Usage: "with -auth lambda: `name` or ARN of the function to ask",
		Set: func(c *Config, v string) error {
			c.Function = v
			return nil
		}},
	{Variable: "AUTH_HEADERS", Flag: "auth-headers", Usage: "with -auth lambda: `list` of the handshake's headers to show it",
		Set: func(c *Config, v string) (err error) {
			c.Headers, err = headers(v)
			return err
		}},
	{Variable: "AUTH_TIMEOUT", Flag: "auth-timeout", Usage: "with -auth lambda: how long it may take (`duration`, default 3s, at most 10s)",
		Set: func(c *Config, v string) (err error) {
			c.Timeout, err = duration(v, time.Millisecond, MaxTimeout)
			return err
		}},
}

// ReadEnvironment reads the settings' variables. One that is empty says
// nothing.
func ReadEnvironment(getenv func(string) string) (Config, error) {
	c := NewConfig()
	if err := setting.Read(Settings, &c, getenv); err != nil {
		return c, err
	}
	return c, c.Check()
}

// Check says what does not go together.
func (c Config) Check() error {
	jwt := c.Mode == ModeJWT
	keys := 0
	for _, given := range []bool{c.Secret != "", c.SecretFile != "", c.KeySet != ""} {
		if given {
			keys++
		}
	}
	switch {
	case jwt && keys == 0 && c.Issuer == "":
		return errors.New("mode jwt needs keys: JWT_SECRET_ARN (-jwt-secret-file), JWT_JWKS_URL (-jwks) or JWT_ISSUER (-jwt-issuer)")
	case keys > 1:
		return errors.New("tokens are signed either with a secret or with keys: JWT_SECRET_ARN (-jwt-secret-file) and JWT_JWKS_URL (-jwks) exclude one another")
	case !jwt && (keys > 0 || c.Issuer != "" || c.Audience != nil || c.Algorithms != nil):
		return errors.New("JWT_… (-jwt-…, -jwks) needs mode jwt: AUTH_MODE (-auth)")
	case c.Mode == ModeLambda && c.Function == "":
		return errors.New("mode lambda needs the function to ask: AUTH_FUNCTION (-auth-function)")
	case c.Mode != ModeLambda && (c.Function != "" || c.Headers != nil):
		return errors.New("AUTH_FUNCTION (-auth-function) and AUTH_HEADERS (-auth-headers) need mode lambda: AUTH_MODE (-auth)")
	case jwt && keys == 0:
		if err := checkURL(c.Issuer); err != nil {
			return fmt.Errorf("JWT_ISSUER (-jwt-issuer), whose keys are to be discovered: %w", err)
		}
	}
	for _, algorithm := range c.Algorithms {
		if _, shared := hashSize[algorithm]; shared != c.shared() {
			return fmt.Errorf("JWT_ALGORITHMS (-jwt-algorithms): %s does not go with the keys: HS… is for a secret, the others for a key set", algorithm)
		}
	}
	return nil
}

// shared reports whether tokens are signed with a shared secret.
func (c Config) shared() bool { return c.Secret != "" || c.SecretFile != "" }

// anonymous reports whether clients without a token are let in.
func (c Config) anonymous() bool {
	if c.Anonymous == nil {
		return c.Mode == "" || c.Mode == ModeToken
	}
	return *c.Anonymous
}

// publicAlgorithms are those of a key that is public.
var publicAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

func (c Config) algorithms() []string {
	if c.Algorithms == nil {
		return publicAlgorithms
	}
	return c.Algorithms
}

func checkAlgorithms(list []string) error {
	for _, algorithm := range list {
		if _, shared := hashSize[algorithm]; !shared && !slices.Contains(publicAlgorithms, algorithm) {
			return fmt.Errorf("%q is none of HS256, HS384, HS512, %s", algorithm, strings.Join(publicAlgorithms, ", "))
		}
	}
	return nil
}

func sources(list string) (signal.Sources, error) {
	all := make(signal.Sources, 0, len(signal.AllSources))
	for _, name := range fields(list) {
		if !slices.Contains(signal.AllSources, signal.Source(name)) {
			return nil, fmt.Errorf("%q is none of event, header, subprotocol, query", name)
		}
		all = append(all, signal.Source(name))
	}
	if len(all) == 0 {
		return nil, errEmptyList // would be all of them, or none
	}
	return all, nil
}

// tokenHeaders are those that a token, or something as good, comes in: what a
// function is shown is kept in the connection's record.
var tokenHeaders = []string{"authorization", "cookie", "proxy-authorization", "sec-websocket-protocol"}

func headers(list string) ([]string, error) {
	var all []string
	for _, name := range fields(list) {
		name = strings.ToLower(name)
		switch {
		case slices.Contains(tokenHeaders, name):
			return nil, fmt.Errorf("%s may have a token in it, and is not kept", name)
		case textproto.CanonicalMIMEHeaderKey(name) == name: // it leaves alone what can be none
			return nil, fmt.Errorf("%q is no header", name)
		}
		all = append(all, name)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all, atMost(all, maxHeaders)
}

// fields are the entries of a list: separated by commas, spaces do not count.
func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func oneOf(v string, allowed ...string) error {
	if slices.Contains(allowed, v) {
		return nil
	}
	return fmt.Errorf("%q is none of %s", v, strings.Join(allowed, ", "))
}

var errEmptyList = errors.New("the list is empty")

func atMost(list []string, n int) error {
	switch {
	case len(list) == 0:
		return errEmptyList
	case len(list) > n:
		return fmt.Errorf("%d entries, at most %d are allowed", len(list), n)
	default:
		return nil
	}
}

func duration(v string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("%q is no duration from %v to %v", v, least, most)
	}
	return d, nil
}
