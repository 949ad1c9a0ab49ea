package auth

import (
	"errors"
	"fmt"
	"net/textproto"
	"path/filepath"
	"slices"
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
	ModeHTTP   = "http"   // a server of the user's own is asked
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
	URL      string // of the server to ask
	Headers  []string
	Timeout  time.Duration

	ServerSecret     string // ARN or name of the secret that questions to the server are signed with
	ServerSecretFile string // the same in a file
}

// NewConfig is the configuration before anything is set.
func NewConfig() Config {
	return Config{Claim: DefaultClaim, Skew: DefaultSkew, Timeout: DefaultTimeout}
}

// Settings returns all parameters there are.
func (c *Config) Settings() []setting.Setting {
	return []setting.Setting{
		setting.New("AUTH_MODE", "auth", "who a client is: `mode` token (the token is the name: anyone can be anyone), jwt, lambda (a function says), or http (a server says) (default token)",
			setting.Text(&c.Mode, setting.OneOf(ModeToken, ModeJWT, ModeLambda, ModeHTTP))),
		setting.New("ANONYMOUS", "anonymous", "whether clients without a token are let in, under a name made up: `allow` or refuse (default allow with -auth token, refuse otherwise)",
			setting.Parsed(&c.Anonymous, parseAnonymous)),
		setting.New("TOKEN_SOURCES", "token-sources", "ways for a token to come, `list` of event, auth, header, subprotocol, query (default all)",
			setting.Parsed(&c.Sources, sources)),
		setting.New("ACCEPTED_VERSIONS", "versions", "client versions to serve, `list` such as \"4.3.1, >=5.0 <6; Android: required, 4.x\" (default "+versions.Default+")",
			setting.Parsed(&c.Versions, versions.Parse)),
		setting.New("JWT_SECRET_ARN", "", "", setting.Text(&c.Secret, secret.CheckID)),
		setting.New("JWT_SECRET_FILE", "jwt-secret-file", "with -auth jwt: `file` with the secret that tokens are signed with (HS256, HS384, HS512)",
			setting.Parsed(&c.SecretFile, filepath.Abs)),
		setting.New("JWT_JWKS_URL", "jwks", "with -auth jwt: `URL` of the JSON Web Key Set that tokens are signed with",
			setting.Text(&c.KeySet, setting.CheckSecureURL)),
		setting.New("JWT_ISSUER", "jwt-issuer", "with -auth jwt: the issuer that tokens must name, whose keys are discovered at this `URL` unless -jwks or -jwt-secret-file has them",
			setting.Text(&c.Issuer)),
		setting.New("JWT_AUDIENCE", "jwt-audience", "with -auth jwt: `list` of audiences, one of which a token must be meant for (default any)",
			setting.Parsed(&c.Audience, audiences)),
		setting.New("JWT_ALGORITHMS", "jwt-algorithms", "with -auth jwt: `list` of algorithms to accept (default all that go with the keys)",
			setting.Parsed(&c.Algorithms, parseAlgorithms)),
		setting.New("JWT_CLAIM", "jwt-claim", "with -auth jwt: `name` of the claim that has the user's name (default "+DefaultClaim+")",
			setting.Text(&c.Claim)),
		setting.New("JWT_SKEW", "jwt-skew", "with -auth jwt: how much the issuer's clock may differ (`duration`, default 30s, at most 5m)",
			setting.Duration(&c.Skew, 0, MaxSkew)),
		setting.New("JWT_OUTLIVE", "jwt-outlive", "with -auth jwt: whether connections may outlive the token: `true` or false (default false)",
			setting.Bool(&c.Outlive)),
		setting.New("AUTH_FUNCTION", "auth-function", "with -auth lambda: `name` or ARN of the function to ask",
			setting.Text(&c.Function)),
		setting.New("AUTH_URL", "auth-url", "with -auth http: `URL` of the server to ask, by https unless it is on this machine",
			setting.Text(&c.URL, setting.CheckSecureURL)),
		setting.New("AUTH_SECRET_ARN", "", "", setting.Text(&c.ServerSecret, secret.CheckID)),
		setting.New("AUTH_SECRET_FILE", "auth-secret-file", "with -auth http: `file` with the secret that requests to the server are signed with",
			setting.Parsed(&c.ServerSecretFile, filepath.Abs)),
		setting.New("AUTH_HEADERS", "auth-headers", "with -auth lambda or http: `list` of the handshake's headers to show it",
			setting.Parsed(&c.Headers, headers)),
		setting.New("AUTH_TIMEOUT", "auth-timeout", "with -auth lambda or http: how long it may take (`duration`, default 3s, at most 10s)",
			setting.Duration(&c.Timeout, time.Millisecond, MaxTimeout)),
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
	case c.Mode != ModeLambda && c.Function != "":
		return errors.New("AUTH_FUNCTION (-auth-function) needs mode lambda: AUTH_MODE (-auth)")
	case c.Mode == ModeHTTP && c.URL == "":
		return errors.New("mode http needs the server to ask: AUTH_URL (-auth-url)")
	case c.Mode == ModeHTTP && c.ServerSecret == "" && c.ServerSecretFile == "":
		return errors.New("mode http needs a secret to sign with: AUTH_SECRET_ARN (-auth-secret-file)")
	case c.ServerSecret != "" && c.ServerSecretFile != "":
		return errors.New("AUTH_SECRET_ARN and AUTH_SECRET_FILE exclude one another")
	case c.Mode != ModeHTTP && (c.URL != "" || c.ServerSecret != "" || c.ServerSecretFile != ""):
		return errors.New("AUTH_URL (-auth-url) and AUTH_SECRET_ARN (-auth-secret-file) need mode http: AUTH_MODE (-auth)")
	case !c.asks() && c.Headers != nil:
		return errors.New("AUTH_HEADERS (-auth-headers) needs mode lambda or http: AUTH_MODE (-auth)")
	case jwt && keys == 0:
		if err := setting.CheckSecureURL(c.Issuer); err != nil {
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

// asks reports whether somebody else is asked who a client is.
func (c Config) asks() bool { return c.Mode == ModeLambda || c.Mode == ModeHTTP }

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

func parseAlgorithms(v string) ([]string, error) {
	list := setting.List(v)
	if len(list) == 0 {
		return nil, setting.ErrEmptyList // would be none
	}
	for _, algorithm := range list {
		if _, shared := hashSize[algorithm]; !shared && !slices.Contains(publicAlgorithms, algorithm) {
			return nil, fmt.Errorf("%q is none of HS256, HS384, HS512, %s", algorithm, strings.Join(publicAlgorithms, ", "))
		}
	}
	return list, nil
}

func parseAnonymous(v string) (*bool, error) {
	allow := v == "allow"
	return &allow, setting.OneOf("allow", "refuse")(v)
}

func audiences(v string) ([]string, error) {
	list := setting.List(v)
	return list, atMost(list, maxListed)
}

func sources(list string) (signal.Sources, error) {
	all := make(signal.Sources, 0, len(signal.AllSources))
	for _, name := range setting.List(list) {
		if !slices.Contains(signal.AllSources, signal.Source(name)) {
			return nil, fmt.Errorf("%q is none of event, auth, header, subprotocol, query", name)
		}
		all = append(all, signal.Source(name))
	}
	if len(all) == 0 {
		return nil, setting.ErrEmptyList // would be all of them, or none
	}
	return all, nil
}

// tokenHeaders are those that a token, or something as good, comes in: what a
// function is shown is kept in the connection's record.
var tokenHeaders = []string{"authorization", "cookie", "proxy-authorization", "sec-websocket-protocol"}

func headers(list string) ([]string, error) {
	var all []string
	for _, name := range setting.List(list) {
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

func atMost(list []string, n int) error {
	switch {
	case len(list) == 0:
		return setting.ErrEmptyList
	case len(list) > n:
		return fmt.Errorf("%d entries, at most %d are allowed", len(list), n)
	default:
		return nil
	}
}
