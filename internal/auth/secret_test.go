package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/owt-signal/owt-signal/internal/auth"
	"github.com/owt-signal/owt-signal/internal/awsenv"
)

var quiet = slog.New(slog.DiscardHandler)

// secrets answers GetSecretValue and GetParameter as their API references have
// it; for neither service is there a real part that runs here.
type secrets struct {
	t      *testing.T
	values map[string]string
	binary bool
	fail   []func(http.ResponseWriter) // the next answers
	asked  int
}

var signature = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=test/\d{8}/([a-z0-9-]+)/(\w+)/aws4_request, SignedHeaders=[a-z0-9;-]*x-amz-target[a-z0-9;-]*, Signature=[0-9a-f]{64}$`)

func (s *secrets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked++
	if len(s.fail) > 0 {
		s.fail[0](w)
		s.fail = s.fail[1:]
		return
	}
	body, _ := io.ReadAll(r.Body)
	var asked struct {
		SecretID       string `json:"SecretId"`
		Name           string
		WithDecryption bool
	}
	signed := signature.FindStringSubmatch(r.Header.Get("Authorization"))
	if signed == nil || json.Unmarshal(body, &asked) != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		s.t.Errorf("asked %s %s, signed %q", r.Method, body, r.Header.Get("Authorization"))
		return
	}
	target := r.Header.Get("X-Amz-Target")
	value, ok := s.values[asked.SecretID+asked.Name]
	switch {
	case !ok:
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"com.amazonaws#ResourceNotFoundException","message":"there is none"}`)
	case target == "secretsmanager.GetSecretValue" && asked.SecretID != "" && signed[2] == "secretsmanager" && signed[1] == "eu-west-1" && s.binary:
		_ = json.NewEncoder(w).Encode(map[string]string{"SecretBinary": base64.StdEncoding.EncodeToString([]byte(value))})
	case target == "secretsmanager.GetSecretValue" && asked.SecretID != "" && signed[2] == "secretsmanager" && signed[1] == "eu-west-1":
		_ = json.NewEncoder(w).Encode(map[string]string{"ARN": asked.SecretID, "SecretString": value})
	case target == "AmazonSSM.GetParameter" && asked.Name != "" && asked.WithDecryption && signed[2] == "ssm":
		_ = json.NewEncoder(w).Encode(map[string]any{"Parameter": map[string]any{"Name": asked.Name, "Type": "SecureString", "Value": value}})
	default:
		s.t.Errorf("target %s asked for %s, signed for %v", target, body, signed[1:])
	}
}

func newSecrets(t *testing.T, values map[string]string) *secrets {
	t.Helper()
	s := &secrets{t: t, values: values}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	for _, service := range []string{"SECRETS_MANAGER", "SSM"} {
		t.Setenv("AWS_ENDPOINT_URL_"+service, server.URL)
	}
	return s
}

func (s *secrets) read(id string) error {
	c := auth.NewConfig()
	c.Mode, c.Secret = auth.ModeJWT, id
	access, err := auth.New(s.t.Context(), c, awsenv.ConfigOr("us-east-1", "test"), quiet)
	if err != nil {
		return err
	}
	claims := jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	wantUser(s.t, access.Authenticator, sign(s.t, "HS256", []byte(s.values[id]), claims, nil), "alice")
	return nil
}

const (
	secretARN    = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:owt/jwt-AbCdEf"
	parameterARN = "arn:aws:ssm:eu-west-1:123456789012:parameter/owt/jwt"
)

func TestSecretsOfAWS(t *testing.T) {
	s := newSecrets(t, map[string]string{
		secretARN: strings.Repeat("a", 32), parameterARN: strings.Repeat("b", 32), "/owt/jwt": strings.Repeat("c", 32), "jwt:3": strings.Repeat("d", 32),
	})
	for id := range s.values {
		if err := s.read(id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	s.binary = true
	if err := s.read(secretARN); err != nil {
		t.Errorf("binary: %v", err)
	}
	if s.asked != len(s.values)+1 {
		t.Errorf("asked %d times", s.asked)
	}
}

func TestSecretsThatAreNotToBeHad(t *testing.T) {
	s := newSecrets(t, map[string]string{"/owt/jwt": strings.Repeat("c", 32), "/owt/json": `{"key":"` + strings.Repeat("c", 32) + `"}`})
	answer := func(status int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.WriteHeader(status); fmt.Fprint(w, body) }
	}
	for _, c := range []struct {
		id    string
		fail  []func(http.ResponseWriter)
		asked int
		says  string // empty: it is had
	}{
		{"/none", nil, 1, "ResourceNotFoundException: there is none"},
		{"/owt/json", nil, 1, "JSON"},
		{"/owt/jwt", []func(http.ResponseWriter){answer(500, "")}, 2, ""},
		{"/owt/jwt", []func(http.ResponseWriter){answer(400, `{"__type":"ThrottlingException"}`), answer(429, "")}, 3, ""},
		{"/owt/jwt", []func(http.ResponseWriter){answer(500, ""), answer(503, ""), answer(500, `{"__type":"InternalServerError"}`)}, 3, "InternalServerError"},
		{"/owt/jwt", []func(http.ResponseWriter){answer(400, `{"__type":"AccessDeniedException","message":"not authorized to perform: ssm:GetParameter"}`)}, 1, "ssm:GetParameter"},
		{"/owt/jwt", []func(http.ResponseWriter){answer(200, `{"Parameter":"cccccccccc"}`)}, 1, "cannot be read"},
		{"/owt/jwt", []func(http.ResponseWriter){answer(200, strings.Repeat("c", 128<<10+1))}, 1, "more than"},
	} {
		s.asked, s.fail = 0, c.fail
		err := s.read(c.id)
		if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "ccccc")) || s.asked != c.asked {
			t.Errorf("%s: %v after %d questions, want %q after %d", c.id, err, s.asked, c.says, c.asked)
		}
	}
}
