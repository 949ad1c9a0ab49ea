package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// What a key set may hold, and what its keys must be.
const (
	maxKeys   = 64
	minRSA    = 2048 // bits; RFC 7518, section 3.3
	maxRSA    = 8192 // bits; a larger one only costs time
	maxKeyID  = 256  // bytes
	maxNumber = 2048 // characters of base64url: more than the largest modulus has
)

// key is a public key of a JSON Web Key Set, or a shared secret.
type key struct {
	id        string
	algorithm string // the only one that it may be used with; empty: any that fits it
	verifier  any    // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, or a secret's []byte
}

// named reports whether a token that names its key so, if not empty, may mean
// this one. A secret is the only one there is, whatever it is called.
func (k key) named(id string) bool {
	_, secret := k.verifier.([]byte)
	return id == "" || id == k.id || secret
}

// fits reports whether a signature by that algorithm may be checked with the
// key. That an algorithm goes with one type of key only is what keeps a public
// key from being taken for a shared secret.
func (k key) fits(algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch verifier := k.verifier.(type) {
	case *rsa.PublicKey:
		return len(algorithm) == 5 && (algorithm[:2] == "RS" || algorithm[:2] == "PS")
	case *ecdsa.PublicKey:
		return algorithm == map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"}[verifier.Curve]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	case []byte:
		least, ok := hashSize[algorithm]
		return ok && len(verifier) >= least
	default:
		return false
	}
}

// jwk is a JSON Web Key (RFC 7517, section 4; RFC 7518, section 6; RFC 8037,
// section 2), without what a private or a symmetric one has: those have no
// place in a set that anybody can read.
type jwk struct {
	Type       string   `json:"kty"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Algorithm  string   `json:"alg"`
	ID         string   `json:"kid"`
	Curve      string   `json:"crv"`
	Modulus    string   `json:"n"`
	Exponent   string   `json:"e"`
	X          string   `json:"x"`
	Y          string   `json:"y"`
}

// parseKeys reads a JSON Web Key Set. Keys that are not understood, or not for
// signatures, are left out (RFC 7517, section 5), and so are those that are too
// weak. A set without any that is left is an error.
func parseKeys(document []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, errors.New("it is no JSON Web Key Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys, at most %d are allowed", len(set.Keys), maxKeys)
	}
	var keys []key
	for _, raw := range set.Keys {
		var j jwk
		if json.Unmarshal(raw, &j) != nil || !j.verifies() {
			continue
		}
		if public, ok := j.public(); ok {
			keys = append(keys, key{j.ID, j.Algorithm, public})
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no key that can be used")
	}
	return keys, nil
}

// verifies reports whether the key is for checking signatures.
func (j jwk) verifies() bool {
	if j.Use != "" && j.Use != "sig" || len(j.ID) > maxKeyID {
		return false
	}
	return j.Operations == nil || slices.Contains(j.Operations, "verify")
}

func (j jwk) public() (any, bool) {
	switch j.Type {
	case "RSA":
		return j.rsa()
	case "EC":
		return j.ec()
	case "OKP":
		x, ok := octets(j.X)
		return ed25519.PublicKey(x), ok && j.Curve == "Ed25519" && len(x) == ed25519.PublicKeySize
	default:
		return nil, false
	}
}

func (j jwk) rsa() (any, bool) {
	n, okN := octets(j.Modulus)
	e, okE := octets(j.Exponent)
	if !okN || !okE || len(e) > 4 {
		return nil, false
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	bits := public.N.BitLen()
	ok := bits >= minRSA && bits <= maxRSA && public.N.Bit(0) == 1 && public.E >= 3 && public.E < 1<<31 && public.E%2 == 1
	return public, ok
}

func (j jwk) ec() (any, bool) {
	curve, ok := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[j.Curve]
	if !ok {
		return nil, false
	}
	size := (curve.Params().BitSize + 7) / 8
	x, okX := octets(j.X)
	y, okY := octets(j.Y)
	if !okX || !okY || len(x) != size || len(y) != size { // RFC 7518, section 6.2.1.2: with leading zeros
		return nil, false
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...)) // checks that it is on the curve
	return public, err == nil
}

// octets decodes base64url without padding (RFC 7515, section 2).
func octets(text string) ([]byte, bool) {
	if text == "" || len(text) > maxNumber {
		return nil, false
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	return b, err == nil
}
