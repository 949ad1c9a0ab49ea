package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// JWT is the authenticator by JSON Web Tokens (RFC 7519, with the advice of
// RFC 8725).
type JWT struct {
	keys     *keySource
	parser   *jwt.Parser
	audience []string
	claim    string
	skew     time.Duration
	outlive  bool
	now      func() time.Time
}

var _ signal.Authenticator = (*JWT)(nil)

// newJWT is the authenticator that c, which has been checked, asks for.
func newJWT(c Config, keys *keySource, now func() time.Time) *JWT {
	options := []jwt.ParserOption{
		jwt.WithValidMethods(c.algorithms()), jwt.WithExpirationRequired(), jwt.WithLeeway(c.Skew), jwt.WithTimeFunc(now), jwt.WithStrictDecoding(),
	}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	return &JWT{
		keys: keys, parser: jwt.NewParser(options...), audience: c.Audience, claim: c.Claim, skew: c.Skew, outlive: c.Outlive, now: now,
	}
}

// Needs implements [signal.Authenticator].
func (*JWT) Needs() signal.Needs { return signal.Needs{} }

// Authenticate implements [signal.Authenticator]. What is wrong with a token it
// says in its own words: the library's quote it.
func (a *JWT) Authenticate(ctx context.Context, c signal.Credentials) (signal.Identity, error) {
	if strings.ContainsAny(c.Token, "\r\n") { // Go's base64 does not mind them
		return signal.Identity{}, refused("it is no JSON Web Token")
	}
	token, looked, err := a.parse(ctx, c.Token)
	if errors.Is(err, jwt.ErrTokenSignatureInvalid) && looked.at.keys != nil && a.keys.renew(ctx, looked.at, true).came != looked.at.came {
		token, looked, err = a.parse(ctx, c.Token) // by the keys that have come since
	}
	switch {
	case looked.err != nil:
		return signal.Identity{}, fmt.Errorf("check token: %w", looked.err)
	case err != nil:
		return signal.Identity{}, refused(reason(err))
	}
	claims, ok := token.Claims.(jwt.MapClaims)
	if !ok {
		return signal.Identity{}, refused("it has no claims")
	}
	if !datesInRange(claims) {
		return signal.Identity{}, refused("the time from which, or until which, it is valid is out of range")
	}
	if !a.meant(claims) {
		return signal.Identity{}, refused("it is meant for another audience")
	}
	name, ok := claims[a.claim].(string)
	if !ok {
		return signal.Identity{}, refused("the claim that has the user's name is missing, or is not a string")
	}
	return signal.Identity{User: signal.UserName(name), Expires: a.expires(claims), Attributes: mayWatch(claims)}, nil
}

// mayWatch returns the attribute that the claim of its name stands for, whatever its
// type; nil if there is no such claim.
func mayWatch(claims jwt.MapClaims) map[string]string {
	switch may, ok := claims[signal.AttributeWatch]; {
	case !ok:
		return nil
	case may == signal.WatchAny:
		return map[string]string{signal.AttributeWatch: signal.WatchAny}
	default:
		return map[string]string{signal.AttributeWatch: signal.WatchNone}
	}
}

// lookup is where a token's keys were looked for, if it came to that, and why
// nobody can say what they are.
type lookup struct {
	at  reading
	err error
}

func (a *JWT) parse(ctx context.Context, text string) (token *jwt.Token, looked lookup, err error) {
	token, err = a.parser.Parse(text, func(t *jwt.Token) (any, error) {
		found, at, err := a.find(ctx, t)
		looked.at = at
		if err != nil && !errors.Is(err, signal.ErrRefused) {
			looked.err = err
		}
		return found, err
	})
	return token, looked, err
}

// find returns the keys that a token may be signed by.
func (a *JWT) find(ctx context.Context, t *jwt.Token) (any, reading, error) {
	if _, ok := t.Header["crit"]; ok { // RFC 7515, section 4.1.11: nothing that it may ask for is understood
		return nil, reading{}, fmt.Errorf("%w: it has critical headers", signal.ErrRefused)
	}
	id := ""
	if named, ok := t.Header["kid"]; ok {
		if id, ok = named.(string); !ok || id == "" || len(id) > maxKeyID {
			return nil, reading{}, fmt.Errorf("%w: the name of its key is none", signal.ErrRefused)
		}
	}
	found, at, err := a.keys.find(ctx, t.Method.Alg(), id)
	if err != nil {
		return nil, at, err
	}
	set := jwt.VerificationKeySet{Keys: make([]jwt.VerificationKey, len(found))}
	for i, k := range found {
		set.Keys[i] = k
	}
	return set, at, nil
}

// maxDate is the end of the year 9999, the last that RFC 3339 can write, in
// seconds since 1970. Times that no clock shows are an issuer's mistake, such as
// milliseconds, and overflow the library's: a token that begins to be valid at
// 1e300 would be so now.
const maxDate = 253_402_300_799

// datesInRange reports whether the times of a token are such, which need not be
// whole numbers (RFC 7519, section 2).
func datesInRange(claims jwt.MapClaims) bool {
	for _, name := range []string{"nbf", "exp"} {
		if date, ok := claims[name]; ok {
			if seconds, ok := date.(float64); !ok || seconds < 0 || seconds > maxDate {
				return false
			}
		}
	}
	return true
}

// meant reports whether the token is meant for us. Where it has no audience,
// its client stands for it, as in the access tokens of Amazon Cognito ("Control
// access to HTTP APIs with JWT authorizers", API Gateway Developer Guide: "API
// Gateway validates client_id only if aud is not present").
func (a *JWT) meant(claims jwt.MapClaims) bool {
	if a.audience == nil {
		return true
	}
	aud, err := claims.GetAudience()
	if _, ok := claims["aud"]; !ok {
		client, _ := claims["client_id"].(string)
		aud = jwt.ClaimStrings{client}
	}
	return err == nil && slices.ContainsFunc(aud, func(one string) bool { return one != "" && slices.Contains(a.audience, one) })
}

// expires is when the token does, which may be by our clock's skew later than
// it says.
func (a *JWT) expires(claims jwt.MapClaims) lane.Instant {
	exp, err := claims.GetExpirationTime()
	if a.outlive || err != nil || exp == nil {
		return 0
	}
	if exp.Sub(a.now()) > signal.ConnectionLife { // no connection lasts that long
		return 0
	}
	return lane.At(exp.Add(a.skew))
}

func refused(why string) error { return fmt.Errorf("check token: %w: %s", signal.ErrRefused, why) }

// reason says what is wrong with a token, without a word of it.
func reason(err error) string {
	for _, known := range []struct {
		error
		says string
	}{
		{jwt.ErrTokenExpired, "it has expired"},
		{jwt.ErrTokenNotValidYet, "it is not valid yet"},
		{jwt.ErrTokenInvalidIssuer, "it is another issuer's"},
		{jwt.ErrTokenRequiredClaimMissing, "a claim is missing that it must have: exp, or iss"},
		{jwt.ErrTokenInvalidClaims, "a claim is not of its type"},
		{jwt.ErrTokenMalformed, "it is no JSON Web Token"},
		{jwt.ErrTokenSignatureInvalid, "its signature is wrong, or of an algorithm that is not accepted"},
	} {
		if errors.Is(err, known.error) {
			return known.says
		}
	}
	return "it cannot be verified by a key that is accepted with its algorithm"
}
