package httpapi

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/owt-signal/owt-signal/internal/secret"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// The bounds of a file of keys.
const (
	// MinKey is the shortest key, in bytes: whoever can ask can try.
	MinKey = 20
	// MaxKeys is how many there may be.
	MaxKeys = 64
)

// Keys is who may call, by a key of their own.
type Keys []key

// key is one, as its SHA-256: a comparison takes as long for any two keys.
type key struct {
	name string
	sum  [sha256.Size]byte
}

// ReadKeys reads a file of keys: on each line a name, white space, and a key. Lines that
// begin with # are left out, and empty ones. A name may have several keys, as it must
// while one is changed.
func ReadKeys(file string) (Keys, error) {
	text, err := secret.ReadFile(file)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("read keys of %s: %w", file, err)
	}
	return keys, nil
}

func parseKeys(text []byte) (keys Keys, err error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		switch {
		case len(fields) != 2:
			return nil, fmt.Errorf("line %d: not a name and a key", n)
		case signal.CheckBackend(signal.BackendPrefix+signal.UserName(fields[0])) != nil || strings.Contains(fields[0], "/"):
			return nil, fmt.Errorf("line %d: the name is not letters, digits and _+=,.@- alone", n)
		case len(fields[1]) < MinKey:
			return nil, fmt.Errorf("line %d: the key is shorter than %d bytes", n, MinKey)
		case len(keys) == MaxKeys:
			return nil, fmt.Errorf("more than %d keys", MaxKeys)
		}
		keys = append(keys, key{fields[0], sha256.Sum256([]byte(fields[1]))})
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("there is none")
	}
	return keys, nil
}

// caller returns who has that key. It compares with all keys.
func (k Keys) caller(given string) (c Caller, ok bool) {
	sum := sha256.Sum256([]byte(given))
	for _, key := range k {
		if subtle.ConstantTimeCompare(sum[:], key.sum[:]) == 1 {
			c, ok = Caller{Name: signal.BackendPrefix + signal.UserName(key.name), Principal: key.name}, true
		}
	}
	return c, ok
}

// Handler serves the API to whoever has one of the keys, as a bearer token (RFC 6750,
// section 2.1). A body is read only then.
func (a *API) Handler(keys Keys) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		caller, ok := keys.caller(given)
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			a.Log.InfoContext(r.Context(), "backend refused", "address", r.RemoteAddr)
			a.Service.Count(signal.MetricRefusals, 1)
			errKey.response().write(w)
			return
		}
		var id [8]byte
		_, _ = rand.Read(id[:])
		caller.Request = hex.EncodeToString(id[:])
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
		switch _, long := errors.AsType[*http.MaxBytesError](err); {
		case long:
			errBody.response().write(w)
			return
		case err != nil:
			errRequest.saying("The body ends early.").response().write(w)
			return
		}
		a.Do(r.Context(), caller, Request{
			Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
			ContentType: r.Header.Get("Content-Type"), Key: r.Header.Get("Idempotency-Key"), Body: body,
		}).write(w)
	})
}

func (r Response) write(w http.ResponseWriter) {
	for name, value := range r.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(r.Status)
	w.Write(r.Body)
}
