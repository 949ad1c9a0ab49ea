package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/owt-signal/owt-signal/internal/auth"
	"github.com/owt-signal/owt-signal/internal/ice"
	"github.com/owt-signal/owt-signal/internal/lambdaenv"
	"github.com/owt-signal/owt-signal/internal/limits"
)

// refusals is the parameters and rules by which CloudFormation refuses a
// deployment, in order.
func (tpl template) refusals(d deployment) (by []string) {
	for parameter, value := range d {
		if !tpl.takes(parameter, value) {
			by = append(by, parameter)
		}
	}
	for name, rule := range tpl["Rules"].(map[string]any) {
		if condition := at(rule, "RuleCondition"); condition != nil && tpl.evaluate(condition, d) != true {
			continue
		}
		for _, assertion := range at(rule, "Assertions").([]any) {
			if tpl.evaluate(at(assertion, "Assert"), d) != true {
				by = append(by, name)
			}
		}
	}
	slices.Sort(by)
	return by
}

// takes reports whether a parameter may have a value.
func (tpl template) takes(parameter, value string) bool {
	p := at(map[string]any(tpl), "Parameters", parameter)
	if values, ok := at(p, "AllowedValues").([]any); ok && !slices.Contains(values, any(value)) {
		return false
	}
	if pattern, ok := at(p, "AllowedPattern").(string); ok && !regexp.MustCompile(`^(?:`+pattern+`)$`).MatchString(value) {
		return false
	}
	bound := func(key string, past func(have, bound float64) bool, have float64) bool {
		b, ok := at(p, key).(string)
		n, _ := strconv.ParseFloat(b, 64)
		return ok && past(have, n)
	}
	below, above := func(a, b float64) bool { return a < b }, func(a, b float64) bool { return a > b }
	if at(p, "Type") == "Number" {
		n, err := strconv.ParseFloat(value, 64)
		return err == nil && !bound("MinValue", below, n) && !bound("MaxValue", above, n)
	}
	length := float64(len(value))
	return !bound("MinLength", below, length) && !bound("MaxLength", above, length)
}

// environment is the variables of a function in a deployment.
func (tpl template) environment(function string, d deployment) map[string]string {
	all := make(map[string]string)
	for _, variables := range []any{
		at(map[string]any(tpl), "Globals", "Function", "Environment", "Variables"), at(tpl.properties(function), "Environment", "Variables"),
	} {
		values, _ := tpl.evaluate(variables, d).(map[string]any)
		for name, v := range values {
			value, ok := v.(string)
			if !ok {
				value = "owt-signal-Records-ABCDEFGHIJKLM" // the name of a resource
			}
			all[name] = value
		}
	}
	return all
}

// readEnvironment reads an environment as the functions do.
func readEnvironment(environment map[string]string) error {
	getenv := func(name string) string { return environment[name] }
	_, who := auth.ReadEnvironment(getenv)
	_, much := limits.FromEnvironment(getenv)
	_, relays := ice.ReadEnvironment(getenv)
	return errors.Join(who, much, relays)
}

// refused is values that functions would refuse at their start, or nobody means.
var refused = map[string][]string{
	"AcceptedVersions":   {"abc", "4.3,,", ">5.x", ">=1.2.3.4.5", ">=", "5.x; 4.x", ": 5.x", "required:", "=>5", "x", strings.Repeat("1,", 50) + "1"},
	"AuthMode":           {"JWT", "", "oauth"},
	"Anonymous":          {"yes", "true"},
	"TokenSources":       {"cookie", ",", "event;header", " event", "Event", "events"},
	"JwtIssuer":          {"accounts", "http://issuer.example", "https://", "https://issuer.example/?a", "https://a@issuer.example", "https://issuer.example:", "https://issuer.example/%x", "https://issuer.example/#a", "HTTPS://issuer.example"},
	"JwtJwksUrl":         {"http://issuer.example/keys", "https://", "https:///keys", "https://a b/", "https://issuer.example:port/", "https://issuer.example/?%", "https://issuer.example/keys\n"},
	"JwtSecretArn":       {"/owt/jwt", "arn:aws:s3:::bucket/key", "arn:aws:ssm::123456789012:parameter/x", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:", "arn:aws:ssm:eu-west-1:123456789012:parameter/é"},
	"JwtAudience":        {",", " ", "a,", "é", `"`, `\`, strings.Repeat("a,", 32) + "a"},
	"JwtAlgorithms":      {"none", "RS256,HS256", "HS384,HS256", "rs256", "RS256,", "HS256, HS384"},
	"JwtClaim":           {"", "a b", `a"`, `a\b`},
	"JwtSkew":            {"10m", "6m", "301s", "-1s", "30", "", "1h", "5m1s", "1.5s", "5M"},
	"JwtOutlive":         {"yes", "True"},
	"SecretKeyArn":       {"alias/owt", "arn:aws:kms:eu-west-1:123456789012:alias/owt"},
	"AuthFunctionArn":    {"tickets", "arn:aws:lambda:eu-west-1:123456789012:function:"},
	"AuthUrl":            {"http://accounts.example", "https://", "https:///who", "https://alice@accounts.example", "https://accounts.example/#a", "https://accounts.example/?%", "HTTPS://accounts.example"},
	"AuthSecretArn":      {"/owt/auth", "arn:aws:s3:::bucket/key"},
	"AuthHeaders":        {"Authorization", "origin, COOKIE", "proxy-authorization", "Sec-WebSocket-Protocol", "x y:z", "1a", "_a", ",", strings.Repeat("a,", 16) + "a"},
	"AuthTimeout":        {"30s", "11s", "10001ms", "0s", "0ms", "3", "1m", ""},
	"AllowedOrigins":     {"example.com", "https://example.com/", "nulls", ",", "https://bücher.example", "https://a.example:65536", "https://a.example:99999", "https://*", "https://*.", "https://*.*.example", "https://a.*", "https://*a.example", "https://u@a.example", "https://a.example:", "*", strings.Repeat("a://b,", 64) + "a://b"},
	"OneAddress":         {"yes", "True", ""},
	"IceServers":         {"turn.example.com", "https://turn.example.com", "stun:", "stun:a?transport=udp", "turn:a?transport=sctp", "turn:a?transport=", "turn:a:0", "turn:a:65536", "turn:a:", "turn:a-", "turn://a", "TURN:a", "turn:u@a", "turn:a,", ",", "stun:[::1]", "stun:[1:2:3:4:5:6:7]", "stun:bücher.example", strings.Repeat("stun:a,", 8) + "stun:a"},
	"TurnSecretArn":      {"/owt/turn", "arn:aws:s3:::bucket/key"},
	"TurnLifetime":       {"0h", "0m", "25h", "1441m", "12", "", "60s", "1h30m", "1.5h"},
	"BackendApi":         {"true", "On", ""},
	"EventBus":           {"a b", "arn:aws:events:eu-west-1:123456789012:event-bus/default", "bus;", strings.Repeat("b", 65)},
	"MessageRate":        {"-1", "10001", "1.5", "1e3", "", "01", "x"},
	"MessageBurst":       {"0", "100001", "1.5", "1e3", ""},
	"MessageConcurrency": {"-2", "1000001", "x", ""},
	"PingRate":           {"0", "10001", "1.5", "-1", ""},
	"RecoverFor":         {"1", "29", "3601", "-1", "", "2m", "030"},
	"AuthenticateWithin": {"2h", "0s", "0m", "3601s", "61m", "60", "", "1.5m", "999ms"},
	"LogUserKeyArn":      {"key", "arn:aws:s3:::bucket/key"},
	"LogLevel":           {"debug", "TRACE", ""},
	"Revision":           {"1 2", strings.Repeat("1", 33)},
	"StageName":          {"", "$default", "a/b", "a.b"},
}

// extremes is values at the ends of what the patterns let through. Those of
// AllowedValues, and defaults, go without saying.
var extremes = map[string][]string{
	"AcceptedVersions": {
		"0", "*", "required", ">=6 <5", "<6, >=5", "<5 <6 >7", ">999999999.999999999.999999999.999999999", "5.x.x", "1" + strings.Repeat("-", 61) + ".x",
		"a: *; A: 4.x", "C++ 11 : required", strings.Repeat("1,", 49) + "1", "T" + strings.Repeat("y", 62) + ": 5.x",
	},
	"TokenSources":       {"event", "query", "auth", "event, auth, header, subprotocol, query", "query,query,query,query,query,query,query,query,query,event"},
	"JwtIssuer":          {"https://a", "https://a:1", "https://a/", "https://a.example:65535/%20/~!$&()*+,;=:@", "https://" + strings.Repeat("a", 248)},
	"JwtJwksUrl":         {"https://a", "https://a?", "https://a/?", "https://a.example:65535/%20?a=%20/?", "https://" + strings.Repeat("a", 248)},
	"JwtSecretArn":       {secretARN, parameterARN, "arn:aws-eusc:ssm:eusc-de-east-1:123456789012:parameter/" + strings.Repeat("a", 200), "arn:a:ssm:-:000000000000:parameter//"},
	"JwtAudience":        {"a", "!", "a, b", strings.Repeat("~,", 31) + "~", strings.Repeat("a", 384)},
	"JwtAlgorithms":      {"RS256", "EdDSA", "RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA", "HS256", "HS256,HS512", "HS256,HS384,HS512", "HS512"},
	"JwtClaim":           {"a", "!", "https://a.example/" + strings.Repeat("~", 46)},
	"JwtSkew":            {"0s", "00s", "300s", "0m", "5m", "1s"},
	"SecretKeyArn":       {keyARN},
	"AuthFunctionArn":    {"arn:aws:lambda:eu-west-1:123456789012:function:a", "arn:aws:lambda:eu-west-1:123456789012:function:a:1", "arn:a:lambda:-:000000000000:function:" + strings.Repeat("a", 64) + ":" + strings.Repeat("b", 128)},
	"AuthUrl":            {"https://a", "https://A.example:8443/who?a=%20", "https://a/" + strings.Repeat("~", 246)},
	"AuthSecretArn":      {secretARN, parameterARN},
	"AuthHeaders":        {"a", "A-", "origin, ORIGIN", "sec-", "Sec-CH-UA", "s", "c", "p-", strings.Repeat("a,", 15) + "B", "x" + strings.Repeat("_", 255), "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"},
	"AuthTimeout":        {"1ms", "9999ms", "10000ms", "1s", "10s"},
	"AllowedOrigins":     {"a://b", "HTTPS://A.EXAMPLE:65535", "https://a.example:443", "a+.-://b:0000", "a://b:64999,a://b:65499,a://b:65529,a://b:59999", "null", "Null, https://*.a.example:8443", "a://*.b", strings.Repeat("a://b,", 63) + "a://b", "a://" + strings.Repeat("b", 636)},
	"IceServers":         {"stun:a", "stuns:A.example:65535", "turn:10.0.0.1:1?transport=udp", "turns:a-b.example?transport=tcp", "stun:[2001:DB8:0:0:0:0:0:1]:3478, turn:[1:2:3:4:5:6:7:8]?transport=tcp", strings.Repeat("turn:a,", 7) + "turn:a", "stun:" + strings.Repeat("a", 251)},
	"TurnSecretArn":      {secretARN, parameterARN},
	"TurnLifetime":       {"1m", "999m", "1399m", "1440m", "1h", "24h"},
	"EventBus":           {"default", "a_b-C.9", strings.Repeat("b", 64)},
	"MessageRate":        {"0", "1", "10000"},
	"MessageBurst":       {"1", "100000"},
	"MessageConcurrency": {"-1", "0", "1000000", "1e3"},
	"PingRate":           {"1", "10000"},
	"RecoverFor":         {"0", "30", "99", "100", "999", "1000", "2999", "3599", "3600"},
	"AuthenticateWithin": {"1s", "999s", "3599s", "3600s", "1m", "60m", "1h"},
	"LogUserKeyArn":      {secretARN, parameterARN},
	"Revision":           {"0", "-", strings.Repeat("z", 32)},
}

// around is a deployment with a value for a parameter, and what goes with it.
func around(parameter, value string) deployment {
	d := deployment{parameter: value}
	set := func(parameter, value string) {
		if _, ok := d[parameter]; !ok {
			d[parameter] = value
		}
	}
	switch {
	case value == "":
	case strings.HasPrefix(value, "HS"):
		set("JwtSecretArn", secretARN)
		set("AuthMode", "jwt")
	case strings.HasPrefix(parameter, "Jwt"), value == "jwt":
		set("AuthMode", "jwt")
		set("JwtIssuer", "https://issuer.example")
	case parameter == "AuthUrl", parameter == "AuthSecretArn", value == "http":
		set("AuthMode", "http")
		set("AuthUrl", "https://accounts.example")
		set("AuthSecretArn", secretARN)
	case parameter == "AuthHeaders", parameter == "AuthFunctionArn", parameter == "AuthTimeout", value == "lambda":
		set("AuthMode", "lambda")
		set("AuthFunctionArn", everything["AuthFunctionArn"])
	case parameter == "TurnSecretArn":
		set("IceServers", "turn:a")
	case parameter == "IceServers":
		set("TurnSecretArn", secretARN)
	case parameter == "SecretKeyArn":
		set("LogUserKeyArn", secretARN)
	}
	return d
}

// inEnvironment is the parameters that functions read.
func (tpl template) inEnvironment() []string {
	found := make(map[string]bool)
	for _, function := range tpl.functions() {
		maps.Copy(found, tpl.parameters([]any{at(map[string]any(tpl), "Globals", "Function", "Environment"), tpl.properties(function)["Environment"]}))
	}
	return slices.Sorted(maps.Keys(found))
}

// at the ends of every parameter that functions read.
func (tpl template) extremes(t *testing.T) (all []deployment) {
	t.Helper()
	for _, parameter := range append(tpl.inEnvironment(), "SecretKeyArn") {
		values := extremes[parameter]
		if allowed, ok := at(map[string]any(tpl), "Parameters", parameter, "AllowedValues").([]any); ok {
			for _, v := range allowed {
				values = append(values, v.(string))
			}
		}
		if len(values) == 0 {
			t.Errorf("%s: no extreme is tried", parameter)
		}
		for _, v := range values {
			all = append(all, around(parameter, v))
		}
	}
	return append(all, deployment{}, everythingWithJWT, everythingWithLambda)
}

// Deployments with every parameter that functions read.
var (
	everythingWithJWT = deployment{
		"AcceptedVersions": "5.x; Android: required, >=4.3 <5", "AuthMode": "jwt", "Anonymous": "allow", "TokenSources": "event,header", "JwtIssuer": "https://issuer.example/",
		"JwtSecretArn": parameterARN, "JwtAudience": "a, b", "JwtAlgorithms": "HS256,HS384", "JwtClaim": "email", "JwtSkew": "5m", "JwtOutlive": "true",
		"AllowedOrigins": "https://a.example", "IceServers": "stun:a, turn:a", "TurnSecretArn": secretARN, "TurnLifetime": "1m", "MessageRate": "0", "MessageBurst": "1", "PingRate": "1", "AuthenticateWithin": "1h", "RecoverFor": "0",
		"LogUserKeyArn": secretARN, "SecretKeyArn": keyARN, "LogLevel": "DEBUG", "Revision": "2", "EventBus": "default",
	}
	everythingWithLambda = deployment{
		"AuthMode": "lambda", "Anonymous": "refuse", "AuthFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:a", "AuthHeaders": "origin", "AuthTimeout": "10s",
		"LogUserKeyArn": parameterARN, "LogLevel": "ERROR",
	}
)

// CloudFormation refuses what functions would refuse at their start.
func TestValuesAreRefused(t *testing.T) {
	tpl := load(t)
	for parameter, values := range refused {
		for _, v := range values {
			if tpl.takes(parameter, v) {
				t.Errorf("%s=%q is taken", parameter, v)
			}
		}
	}
	for _, parameter := range tpl.inEnvironment() {
		if len(refused[parameter]) == 0 {
			t.Errorf("%s: no value is known to be refused", parameter)
		}
	}
}

// Each rule refuses something, which the functions refuse, too, where it is about
// them.
func TestRulesRefuse(t *testing.T) {
	tpl := load(t)
	tried := make(map[string]bool)
	const domain, certificate = "signal.example.com", "arn:aws:acm:eu-west-1:123456789012:certificate/a"
	for _, c := range []struct {
		rule string
		d    deployment
		read bool // by the functions
	}{
		{"DomainHasCertificate", deployment{"DomainName": domain}, false},
		{"HostedZoneHasDomain", deployment{"HostedZoneId": "Z1"}, false},
		{"JwtHasKeys", deployment{"AuthMode": "jwt"}, true},
		{"JwtHasKeys", deployment{"AuthMode": "jwt", "JwtAudience": "a"}, true},
		{"JwtHasOneKindOfKeys", deployment{"AuthMode": "jwt", "JwtJwksUrl": "https://a/keys", "JwtSecretArn": secretARN}, true},
		{"JwtIsUsed", deployment{"JwtIssuer": "https://a"}, true},
		{"JwtIsUsed", deployment{"JwtJwksUrl": "https://a"}, true},
		{"JwtIsUsed", deployment{"JwtSecretArn": secretARN}, true},
		{"JwtIsUsed", deployment{"JwtAudience": "a"}, true},
		{"JwtIsUsed", deployment{"JwtAlgorithms": "RS256"}, true},
		{"JwtIsUsed", deployment{"JwtIssuer": "https://a", "AuthMode": "lambda", "AuthFunctionArn": everything["AuthFunctionArn"]}, true},
		{"KeysHaveTheirAlgorithms", deployment{"AuthMode": "jwt", "JwtIssuer": "https://a", "JwtAlgorithms": "HS256,HS512"}, true},
		{"SecretHasItsAlgorithms", deployment{"AuthMode": "jwt", "JwtSecretArn": secretARN, "JwtAlgorithms": "RS256"}, true},
		{"LambdaHasAFunction", deployment{"AuthMode": "lambda"}, true},
		{"LambdaIsUsed", deployment{"AuthFunctionArn": everything["AuthFunctionArn"]}, true},
		{"HttpHasAServer", deployment{"AuthMode": "http", "AuthUrl": "https://a"}, true},
		{"HttpHasAServer", deployment{"AuthMode": "http", "AuthSecretArn": secretARN}, true},
		{"HttpIsUsed", deployment{"AuthUrl": "https://a"}, true},
		{"HttpIsUsed", deployment{"AuthSecretArn": secretARN}, true},
		{"HeadersAreShown", deployment{"AuthHeaders": "origin", "AuthMode": "jwt", "JwtIssuer": "https://a"}, true},
		{"SecretKeyHasASecret", deployment{"SecretKeyArn": keyARN}, false},
		{"TurnSecretHasServers", deployment{"TurnSecretArn": secretARN}, true},
		{"BudgetHasAnAddress", deployment{"MonthlyBudget": "1"}, false},
		{"BudgetIsUsed", deployment{"BudgetEmail": "you@example.com"}, false},
		{"BudgetIsUsed", deployment{"BudgetCutsOff": "true"}, false},
	} {
		tried[c.rule] = true
		if by := tpl.refusals(c.d); !slices.Equal(by, []string{c.rule}) {
			t.Errorf("%v is refused by %q, not by %s", c.d, by, c.rule)
		}
		if err := readEnvironment(tpl.environment("ConnectFunction", c.d)); (err != nil) != c.read {
			t.Errorf("%v: the functions say %v", c.d, err)
		}
	}
	for name := range tpl["Rules"].(map[string]any) {
		if !tried[name] {
			t.Errorf("no violation of %s is tried", name)
		}
	}
	for _, d := range []deployment{
		{"DomainName": domain, "CertificateArn": certificate, "HostedZoneId": "Z1"},
		{"AuthMode": "jwt", "JwtIssuer": "https://a", "JwtSecretArn": secretARN, "JwtAlgorithms": "HS512"},
		{"MonthlyBudget": "1", "BudgetEmail": "you+aws@mail.example.com", "BudgetCutsOff": "true"},
	} {
		if by := tpl.refusals(d); by != nil {
			t.Errorf("%v is refused by %q", d, by)
		}
	}
}

// TestExtremesStart starts the real functions with what CloudFormation lets
// through at the ends.
func TestExtremesStart(t *testing.T) {
	tpl := load(t)
	aws := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.Repeat("k", 64)
		if r.Header.Get("X-Amz-Target") == "" {
			w.WriteHeader(http.StatusBadRequest)
		}
		fmt.Fprintf(w, `{"SecretString":%q,"Parameter":{"Value":%q}}`, key, key) // an empty page for DynamoDB
	}))
	t.Cleanup(aws.Close)
	begin := func(function string, d deployment) error {
		env := tpl.environment(function, d)
		for name := range env {
			if strings.HasPrefix(name, "AWS_ENDPOINT_URL_") {
				env[name] = aws.URL
			}
		}
		_, err := start(t, folder(function), env).Invoke(t.Context(), []byte("[]")) // which is no event
		if failed, ok := errors.AsType[*lambdaenv.FunctionError](err); ok && failed.Type == lambdaenv.TypeInit {
			return failed
		}
		return nil
	}
	for _, d := range tpl.extremes(t) {
		if by := tpl.refusals(d); by != nil {
			t.Errorf("%v is refused by %q", d, by)
		}
		if err := begin("ConnectFunction", d); err != nil {
			t.Errorf("%v: %v", d, err)
		}
	}
	for _, function := range tpl.functions() {
		for _, d := range []deployment{{}, everythingWithJWT, everythingWithLambda} {
			condition, some := at(map[string]any(tpl), "Resources", function, "Condition").(string)
			if some && !tpl.holds(condition, d) {
				continue // it is not there
			}
			if err := begin(function, d); err != nil {
				t.Errorf("%s, %v: %v", function, d, err)
			}
		}
	}
	if begin("ConnectFunction", deployment{"AuthMode": "oauth"}) == nil {
		t.Error("it is not found that a function does not start")
	}
}

// Whatever CloudFormation lets through, the functions take.
func TestDeploymentsStart(t *testing.T) {
	tpl := load(t)
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		d := make(deployment)
		for _, parameter := range tpl.inEnvironment() {
			p := at(map[string]any(tpl), "Parameters", parameter)
			if !rapid.Bool().Draw(t, "given") {
				continue
			}
			var value string
			values, some := at(p, "AllowedValues").([]any)
			switch {
			case some:
				value = rapid.SampledFrom(values).Draw(t, parameter).(string)
			case at(p, "Type") == "Number":
				least, _ := strconv.Atoi(at(p, "MinValue").(string))
				most, _ := strconv.Atoi(at(p, "MaxValue").(string))
				value = fmt.Sprint(rapid.IntRange(least, most).Draw(t, parameter))
			default:
				value = rapid.StringMatching(at(p, "AllowedPattern").(string)).Draw(t, parameter)
			}
			if tpl.takes(parameter, value) { // it may be too long
				d[parameter] = value
			}
		}
		maps.DeleteFunc(d, func(parameter, value string) bool { // what its mode does not know, mostly
			alone := around(parameter, value)["AuthMode"]
			return parameter != "AuthMode" && alone != "" && alone != d["AuthMode"]
		})
		if tpl.refusals(d) != nil {
			return
		}
		taken++
		env := tpl.environment("KeepaliveFunction", d)
		if err := readEnvironment(env); err != nil {
			t.Errorf("%v: %v", d, err)
		}
		for name, value := range env {
			if quoted, _ := json.Marshal(value); strings.Contains(string(quoted), `\\`) || strings.Contains(string(quoted), `\"`) {
				t.Errorf("%s is longer than it seems: %s", name, quoted) // see TestEnvironmentFits
			}
		}
	})
	if taken < 30 {
		t.Errorf("%d deployments tried", taken)
	}
}

// maxEnvironment is what the variables of a function may have together, in bytes
// of JSON ("Lambda quotas"; Lambda's refusal shows the text that it measures).
const maxEnvironment = 4096

// ways is what parameters of authentication go together: others are refused beside
// those of one.
var ways = []deployment{
	{"AuthMode": "token"},
	{"AuthMode": "jwt", "JwtSecretArn": secretARN},
	{"AuthMode": "jwt", "JwtJwksUrl": "https://a"},
	{"AuthMode": "lambda", "AuthFunctionArn": everything["AuthFunctionArn"]},
	{"AuthMode": "http", "AuthUrl": "https://a", "AuthSecretArn": secretARN},
}

// among reports whether a parameter may have a value among those of a deployment.
func (tpl template) among(d deployment, parameter string) bool {
	return len(extremes[parameter]) == 0 || slices.ContainsFunc(extremes[parameter], func(value string) bool {
		all := maps.Clone(d)
		maps.Copy(all, deployment{"IceServers": "turn:a", parameter: value})
		return tpl.refusals(all) == nil
	})
}

// The variables fit, whatever the parameters are.
func TestEnvironmentFits(t *testing.T) {
	tpl := load(t)
	for _, d := range ways {
		t.Run(d["AuthMode"], func(t *testing.T) { tpl.environmentFits(t, d) })
	}
}

func (tpl template) environmentFits(t *testing.T, d deployment) {
	const longestStack, longestTable = 128, 255 // AWS CloudFormation and Amazon DynamoDB
	for _, function := range tpl.functions() {
		length := 0
		for _, variables := range []any{
			at(map[string]any(tpl), "Globals", "Function", "Environment", "Variables"), at(tpl.properties(function), "Environment", "Variables"),
		} {
			all, _ := variables.(map[string]any)
			for name, v := range all {
				length += len(`"":"",`) + len(name)
				switch reference, _ := at(v, "Ref").(string); reference {
				case "":
					if text, ok := v.(string); ok {
						length += len(text)
					} else if name == "EDGE_KEY" {
						length += len("00000000-0000-0000-0000-000000000000") // of the stack's id
					} else {
						t.Errorf("%s: %s is as long as nobody knows: %v", function, name, v)
					}
				case "AWS::StackName":
					length += longestStack
				case "AWS::URLSuffix":
					length += len("amazonaws.com.cn")
				case "Records":
					length += longestTable
				default:
					if tpl.among(d, reference) {
						length += tpl.longest(reference)
					}
				}
			}
		}
		t.Logf("%s: %d bytes at most", function, length)
		if length > maxEnvironment {
			t.Errorf("%s: the variables may have %d bytes, %d at most", function, length, maxEnvironment)
		}
	}
}

// A line of the access log is JSON whatever happened: each value is in quotes, and
// none has one.
func TestAccessLogIsJSON(t *testing.T) {
	format, _ := at(load(t).properties("Api"), "AccessLogSettings", "Fn::If").([]any)[1].(map[string]any)["Format"].(string)
	variable := regexp.MustCompile(`"\$context\.([A-Za-z.]+)"`)
	quoteless := []string{
		"requestTime", "requestId", "connectionId", "eventType", "routeKey", "status", "integrationLatency", "error.responseType", "identity.sourceIp",
	}
	found := variable.FindAllStringSubmatch(format, -1)
	for _, m := range found {
		if !slices.Contains(quoteless, m[1]) {
			t.Errorf("$context.%s may have a quote in it", m[1])
		}
	}
	if len(found) == 0 || strings.Count(format, "$") != len(found) {
		t.Errorf("values without quotes in %s", format)
	}
	if line := variable.ReplaceAllString(format, `"-"`); !json.Valid([]byte(line)) || strings.Contains(line, "\n") {
		t.Errorf("no line of JSON: %s", line)
	}
}
