package deploy

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/owt-signal/owt-signal/internal/need"
)

// TestEverything deploys the stack with every condition on, lets clients in by a
// shared secret, changes the secret, and then lets a function say who they are. Who comes
// and goes is on the event bus.
func TestEverything(t *testing.T) {
	t.Parallel()
	e := startEmulator(t)
	const first, second = "the first secret, of more than 32 bytes", "the second secret, of more than 32 bytes"
	key := e.create(t, "kms", "create_key", map[string]any{}, "KeyMetadata", "Arn")
	secret := e.create(t, "secretsmanager", "create_secret", map[string]any{"Name": "tokens", "SecretString": first, "KmsKeyId": key}, "ARN")
	topic := e.create(t, "sns", "create_topic", map[string]any{"Name": "alarms"}, "TopicArn")
	certificate := e.create(t, "acm", "request_certificate", map[string]any{"DomainName": domain}, "CertificateArn")
	zone := e.create(t, "route53", "create_hosted_zone", map[string]any{"Name": "example.com", "CallerReference": "1"}, "HostedZone", "Id")
	e.call(t, "ssm", "put_parameter", map[string]any{"Name": "/turn", "Value": "a-secret-of-a-TURN-server", "Type": "SecureString"}, nil)
	e.call(t, "ssm", "put_parameter", map[string]any{"Name": "/users", "Value": "a key of more than 32 bytes, for users", "Type": "SecureString"}, nil)

	users := e.makeBus(t)

	everything := []string{
		"DomainName=" + domain, "CertificateArn=" + certificate, "HostedZoneId=" + strings.TrimPrefix(zone, "/hostedzone/"),
		"AlarmTopicArn=" + topic, "AccessLogs=true", "ConnectConcurrency=100", "MessageConcurrency=200", "StageName=live", "LogLevel=DEBUG",
		"DeploymentPreference=Linear10PercentEvery1Minute", "DeletionProtection=true", "Tracing=PassThrough",
		"LogUserKeyArn=arn:aws:ssm:" + region + ":" + account + ":parameter/users", "SecretKeyArn=" + key,
		"IceServers=stun:stun.example.com,turns:turn.example.com:443?transport=tcp", "TurnSecretArn=arn:aws:ssm:" + region + ":" + account + ":parameter/turn",
		"MonthlyBudget=200", "BudgetEmail=you@example.com", "BudgetCutsOff=true", "BackendApi=on",
	}
	byToken := append([]string{"AuthMode=jwt", "JwtSecretArn=" + secret, "JwtAudience=owt"}, everything...)
	s := e.deploy(t, append(byToken, "EventBus="+users.name, "Revision=1")...)
	onDomain := e.front(t, domain) + "/socket.io/"
	i := startIssuer(t, first, second)
	clients(t, s.endpoint(t), i.env(), "a good token|forged|no token", 30, "auth/jwt.test.mjs")
	clients(t, onDomain, i.env(), "a good token", 15, "auth/jwt.test.mjs")
	users.wantEvents(t)
	read := time.Now() // by the last environment, if not before
	e.wantRecord(t, zone)

	// A token that does not verify has the functions read the secret again, unless
	// they have just read it.
	e.call(t, "secretsmanager", "put_secret_value", map[string]any{"SecretId": secret, "SecretString": second}, nil)
	i = startIssuer(t, second, first)
	time.Sleep(time.Until(read.Add(cooldown)))
	clients(t, s.endpoint(t), i.env(), "a good token", 15, "auth/jwt.test.mjs")
	// A new version of the functions knows the new secret alone; and nobody is told of events.
	e.deploy(t, append(byToken, `EventBus=""`, "Revision=2")...)
	clients(t, s.endpoint(t), i.env(), "a good token|forged", 30, "auth/jwt.test.mjs")

	role := e.create(t, "iam", "create_role", map[string]any{"RoleName": "accounts", "AssumeRolePolicyDocument": trust}, "Role", "Arn")
	function := e.create(t, "lambda", "create_function", map[string]any{
		"FunctionName": "accounts", "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": role, "Timeout": 10, "Code": map[string]any{"ZipFile": accounts(t)},
	}, "FunctionArn")
	e.deploy(t, append(slices.Clip(everything), "AuthMode=lambda", "AuthFunctionArn="+function, `JwtSecretArn=""`, `JwtAudience=""`, "AuthHeaders=X-Device", "Revision=3")...)
	clients(t, onDomain, nil, "who|what the function is asked", 15, "auth/lambda.test.mjs")
	e.spendBudget(t, s)
}

// cooldown is how long a function does not read again what it has read
// (docs/authentication.md), and a second.
const cooldown = 31 * time.Second

// domain is the stack's own.
const domain = "signal.example.com"

// trust lets Lambda take a role.
const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

// create makes something, and is what is found in the answer by these keys.
func (e *emulator) create(t *testing.T, service, operation string, input any, keys ...string) string {
	t.Helper()
	var answer map[string]any
	e.call(t, service, operation, input, &answer)
	for _, key := range keys[:len(keys)-1] {
		answer, _ = answer[key].(map[string]any)
	}
	found, ok := answer[keys[len(keys)-1]].(string)
	if !ok {
		t.Fatalf("%s %s: no %q in %v", service, operation, keys, answer)
	}
	return found
}

// wantRecord sees that the domain's name leads to API Gateway.
func (e *emulator) wantRecord(t *testing.T, zone string) {
	t.Helper()
	var records struct {
		ResourceRecordSets []struct {
			Name, Type  string
			AliasTarget struct{ DNSName string }
		}
	}
	e.call(t, "route53", "list_resource_record_sets", map[string]string{"HostedZoneId": zone}, &records)
	for _, r := range records.ResourceRecordSets {
		if r.Name == domain+"." && r.Type == "A" && strings.Contains(r.AliasTarget.DNSName, "execute-api") {
			return
		}
	}
	t.Errorf("no record leads from %s to API Gateway: %+v", domain, records.ResourceRecordSets)
}

// issuer makes tokens by a shared secret for whoever asks at /token, as the suite does.
type issuer struct{ *httptest.Server }

// startIssuer starts one whose forged tokens are those of another secret.
func startIssuer(t *testing.T, secret, other string) issuer {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.Atoi(r.FormValue("seconds"))
		if err != nil {
			seconds = 3600
		}
		audience, key := r.FormValue("aud"), secret
		if audience == "" {
			audience = "owt"
		}
		if r.FormValue("forged") != "" {
			key = other
		}
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"aud": audience, "sub": r.FormValue("sub"), "exp": time.Now().Add(time.Duration(seconds) * time.Second).Unix(),
		}).SignedString([]byte(key))
		if err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, token)
	})
	i := issuer{httptest.NewServer(mux)}
	t.Cleanup(i.Close)
	return i
}

func (i issuer) env() []string { return []string{"ISSUER=" + i.URL} }

// accounts is the zip of a function that says who clients are, for this machine.
func accounts(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w", "-o", path, "./internal/auth/testdata/accounts")
	build.Dir = need.Root()
	build.Env = append(build.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the function: %v\n%s", err, out)
	}
	var zipped bytes.Buffer
	w := zip.NewWriter(&zipped)
	if err := w.AddFS(os.DirFS(filepath.Dir(path))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(zipped.Bytes())
}
