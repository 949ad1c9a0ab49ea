package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/need"
)

// As docs/webhooks.md has it, word for word.

func verify(header string, body, secret []byte, now time.Time) bool {
	t, v1, _ := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	at, err := strconv.ParseInt(t, 10, 64)
	if err != nil || now.Sub(time.Unix(at, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	said, err := hex.DecodeString(v1)
	return err == nil && hmac.Equal(said, mac.Sum(nil))
}

// signature is one that is to be verified, or not.
type signature struct {
	Header, Body, Secret string
	Now                  int64
	Good                 bool
}

func signatures() map[string]signature {
	const at, body = 1767225600, `{"user":"用户1"}`
	good := signature{sign([]byte(testKey), time.Unix(at, 0), []byte(body)), body, testKey, at, true}
	change := func(f func(*signature)) signature {
		s := good
		s.Good = false
		f(&s)
		return s
	}
	late, early := good, good
	late.Now, early.Now = at+300, at-300
	return map[string]signature{
		"good": good, "almost late": late, "almost early": early,
		"late":         change(func(s *signature) { s.Now = at + 301 }),
		"early":        change(func(s *signature) { s.Now = at - 301 }),
		"other body":   change(func(s *signature) { s.Body = strings.ToUpper(s.Body) }),
		"other secret": change(func(s *signature) { s.Secret += "." }),
		"other time":   change(func(s *signature) { s.Header = strings.Replace(s.Header, "t=1767225600", "t=1767225601", 1) }),
		"none":         change(func(s *signature) { s.Header = "" }),
		"cut":          change(func(s *signature) { s.Header = s.Header[:len(s.Header)-2] }),
		"no time":      change(func(s *signature) { s.Header = s.Header[len("t=1767225600,"):] }),
		"no hex":       change(func(s *signature) { s.Header = s.Header[:len(s.Header)-1] + "g" }),
	}
}

// block returns the code in docs/webhooks.md that is in a language.
func block(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(need.Root(), "docs", "webhooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatalf("docs/webhooks.md has no %s", language)
	}
	return string(found[1])
}

// A signature that is known: openssl dgst -sha256 -hmac says the same.
func TestSignature(t *testing.T) {
	const want = "t=1767225600,v1=3364ff5c7026b43d03d161eab41b33ff7699181f172a4847a94a903c8f77709b"
	if got := sign([]byte(testKey), time.Unix(1767225600, 0), []byte(`{"user":"alice"}`)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestVerifiedInGo(t *testing.T) {
	source, err := os.ReadFile("verify_test.go")
	if code := strings.TrimPrefix(block(t, "go"), "// Go\n"); err != nil || !strings.Contains(string(source), code) {
		t.Errorf("docs/webhooks.md has other code than this (%v):\n%s", err, code)
	}
	for name, s := range signatures() {
		if got := verify(s.Header, []byte(s.Body), []byte(s.Secret), time.Unix(s.Now, 0)); got != s.Good {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestVerifiedInNode(t *testing.T) {
	node := need.Node(t)
	all, err := json.Marshal(signatures())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "--input-type=module", "-e", block(t, "js")+`
import { text } from 'node:stream/consumers';
for (const [name, s] of Object.entries(JSON.parse(await text(process.stdin)))) {
  const got = verify(s.Header || undefined, Buffer.from(s.Body), s.Secret, s.Now);
  if (got !== s.Good) throw new Error(name);
}`)
	cmd.Stdin = strings.NewReader(string(all))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
