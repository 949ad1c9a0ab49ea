package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer is a real issuer of tokens: OpenID Connect's configuration and a key
// set over HTTP, and keys that can be changed while it runs.
type issuer struct {
	*httptest.Server

	mu       sync.Mutex
	keys     []*signingKey
	requests map[string]int
	override func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
}

// signingKey is a key of the issuer's, with its name and what it is for.
type signingKey struct {
	id, algorithm string
	private       crypto.Signer
	members       map[string]any // of its JSON Web Key; overrides what it would be
}

func newIssuer(t testing.TB, keys ...*signingKey) *issuer {
	t.Helper()
	i := &issuer{keys: keys, requests: make(map[string]int)}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.requests[r.URL.Path]++
	override, set := i.override, i.set()
	i.mu.Unlock()
	if override != nil && override(w, r) {
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	case "/keys":
		_, _ = w.Write(set)
	default:
		http.NotFound(w, r)
	}
}

// set is the JSON Web Key Set.
func (i *issuer) set() []byte {
	keys := make([]map[string]any, len(i.keys))
	for n, k := range i.keys {
		keys[n] = k.public()
	}
	b, _ := json.Marshal(map[string]any{"keys": keys})
	return b
}

// rotate replaces the keys.
func (i *issuer) rotate(keys ...*signingKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// answer has every request answered so.
func (i *issuer) answer(f func(w http.ResponseWriter, r *http.Request) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.override = f
}

// asked is how often the keys were fetched.
func (i *issuer) asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests["/keys"]
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (k *signingKey) public() map[string]any {
	m := map[string]any{"kid": k.id, "use": "sig"}
	if k.algorithm != "" {
		m["alg"] = k.algorithm
	}
	switch p := k.private.Public().(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", base64url(p.N.Bytes()), base64url(big.NewInt(int64(p.E)).Bytes())
	case *ecdsa.PublicKey:
		b, err := p.Bytes()
		if err != nil {
			panic(err)
		}
		half := (len(b) - 1) / 2
		m["kty"], m["crv"], m["x"], m["y"] = "EC", p.Params().Name, base64url(b[1:1+half]), base64url(b[1+half:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", base64url(p)
	}
	for name, v := range k.members {
		if v == nil {
			delete(m, name)
			continue
		}
		m[name] = v
	}
	return m
}

var testKeys = struct {
	sync.Mutex
	made map[string]crypto.Signer
}{made: make(map[string]crypto.Signer)}

// private is a key of a kind, the same each time: RSA keys take long to make.
func private(kind string, n int) crypto.Signer {
	testKeys.Lock()
	defer testKeys.Unlock()
	name := fmt.Sprint(kind, n)
	if k, ok := testKeys.made[name]; ok {
		return k
	}
	var k crypto.Signer
	var err error
	switch kind {
	case "RSA":
		k, err = rsa.GenerateKey(rand.Reader, 2048)
	case "P-256":
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		k, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "P-521":
		k, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "Ed25519":
		_, k, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		panic(err)
	}
	testKeys.made[name] = k
	return k
}

// claims are those of a good token, but for what is given; nil takes one away.
func (i *issuer) claims(other jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"iss": i.URL, "aud": "owt", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	for name, v := range other {
		if v == nil {
			delete(c, name)
			continue
		}
		c[name] = v
	}
	return c
}

// sign makes a token. Headers of it may be replaced.
func sign(t testing.TB, algorithm string, key any, claims jwt.MapClaims, headers map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), claims)
	maps.Copy(token.Header, headers)
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
