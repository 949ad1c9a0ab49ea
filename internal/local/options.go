package local

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/auth"
	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/ice"
	"github.com/owt-signal/owt-signal/internal/lambdaenv"
	"github.com/owt-signal/owt-signal/internal/limits"
	"github.com/owt-signal/owt-signal/internal/setting"
	"github.com/owt-signal/owt-signal/internal/webhook"
)

// options is what the command line and the environment say.
type options struct {
	plain, secure string // addresses; empty: off
	cert, key     string // files; empty: a certificate is made
	stage         string
	dynamodb      string // endpoint; empty: the memory of this process
	table         string
	functions     string // folder; empty: the handlers in this process
	concurrency   int
	lambda        string // endpoint of an Invoke API; empty: as above
	management    string // address
	admin         string // address; empty: off
	api           string // address; empty: off
	apiKeys       string // file
	admission     gateway.Limits
	auth          auth.Config
	ice           ice.Config
	limits        limits.Config
	events        webhook.Config
	environment   map[string]string // both, for functions in other processes
	timers        app.Timers
	timing        map[string]string // the same for functions in other processes
	duration      time.Duration
	level         slog.Level
	logFormat     string
	faults        *faults.Spec // nil: none
}

// The largest numbers of the settings.
const (
	maxConnections = 1_000_000 // more than a machine has ports
	maxConcurrency = 10_000
)

// newOptions returns the options before anything is set.
func newOptions() options {
	return options{
		plain: ":8095", secure: ":8096", stage: "prod", table: "owt-signal", management: "127.0.0.1:0",
		concurrency: lambdaenv.DefaultMaxConcurrency, duration: gateway.DefaultDuration,
		auth: auth.NewConfig(), ice: ice.NewConfig(), limits: limits.NewConfig(), environment: make(map[string]string),
		timers: app.NewTimers(), timing: make(map[string]string),
	}
}

// groups returns all settings there are.
func (o *options) groups() []setting.Group {
	return []setting.Group{
		{Title: "Where it listens", Settings: []setting.Setting{
			setting.Own("plain", "`address` for http and ws, or off (default "+o.plain+")", setting.Parsed(&o.plain, listenAt)),
			setting.Own("secure", "`address` for https and wss, or off (default "+o.secure+")", setting.Parsed(&o.secure, listenAt)),
			setting.Own("cert", "certificate `file` (PEM) for -secure (default one that is made at start)", setting.Text(&o.cert)),
			setting.Own("key", "key `file` (PEM) of -cert", setting.Text(&o.key)),
			setting.Own("stage", "`name` of the stage, served at /name (default "+o.stage+")", setting.Text(&o.stage, checkStage)),
			setting.Own("admin", "`address` for whoever looks after the server, or off: /healthz, /readyz, and /metrics for Prometheus (default off)", setting.Parsed(&o.admin, listenAt)),
			setting.Own("api", "`address` of the HTTP API for backends, or off; see docs/api.md (default off)", setting.Parsed(&o.api, listenAt)),
			setting.Own("api-key-file", "`file` with a name and a key on each line, of the backends that may use -api", setting.Text(&o.apiKeys)),
			setting.Own("trusted-proxies", "`list` of the addresses, or networks such as 10.0.0.0/8, of proxies in front: their X-Forwarded-For says where a client is (default none)",
				setting.Parsed(&o.admission.Proxies, proxies)),
		}},
		{Title: "Where the records are", Settings: []setting.Setting{
			setting.Own("dynamodb", "`URL` of a DynamoDB, where the table is created if absent (default the memory of this process)", setting.URL(&o.dynamodb)),
			setting.New("TABLE_NAME", "table", "`name` of the table, with -dynamodb (default "+o.table+")", setting.Text(&o.table)),
		}},
		{Title: "Who may connect", Settings: recorded(o.environment, o.auth.Settings())},
		{Title: "How clients find a way to each other", Settings: recorded(o.environment, o.ice.Settings())},
		{Title: "What clients may do, and what is logged of them", Settings: slices.Concat(
			recorded(o.environment, o.limits.Settings()),
			recorded(o.timing, o.timers.Settings()),
			[]setting.Setting{
				setting.Own("max-duration", fmt.Sprintf("`duration` after which any connection is closed (default %v)", o.duration), setting.Positive(&o.duration)),
				setting.Own("max-connections", fmt.Sprintf("`number` of connections at a time (default %d)", gateway.DefaultConnections),
					setting.Number(&o.admission.Connections, 1, maxConnections)),
				setting.Own("max-per-address", fmt.Sprintf("`number` of connections at a time from one address (default %d)", gateway.DefaultPerAddress),
					setting.Number(&o.admission.PerAddress, 1, maxConnections)),
				setting.New("LOG_LEVEL", "log", "lowest `level` of log lines: debug, info, warn, error (default info)", setting.Parsed(&o.level, parseLevel)),
				setting.Own("log-format", "`format` of the log: json or text (default json)", setting.Text(&o.logFormat, setting.OneOf("json", "text"))),
			})},
		{Title: "Who is told of clients that come and go", Settings: o.events.Settings()},
		{Title: "Functions that were built for Lambda, and faults", Settings: []setting.Setting{
			setting.Own("functions", "run the functions in this `folder`, such as bin/functions (make build) or .aws-sam/build (sam build); with -dynamodb", setting.Text(&o.functions)),
			setting.Own("concurrency", fmt.Sprintf("largest `number` of processes that a function may have at a time, with -functions (default %d)", o.concurrency),
				setting.Number(&o.concurrency, 1, maxConcurrency)),
			setting.Own("lambda-endpoint", "invoke the functions by the Lambda API at this `URL`, such as sam local start-lambda serves; see docs/local.md", setting.URL(&o.lambda)),
			setting.Own("management", "`address` of @connections for -functions and -lambda-endpoint; whoever reaches it can post to every client (default "+o.management+")",
				setting.Parsed(&o.management, parseAddress)),
			setting.Own("faults", "misbehave as AWS may, by `settings` separated by commas, such as "+faults.Example+":\n"+faults.Usage(),
				setting.Parsed(&o.faults, faults.Parse)),
		}},
	}
}

// recorded keeps in an environment what settings are set to.
func recorded(environment map[string]string, settings []setting.Setting) []setting.Setting {
	for i, s := range settings {
		settings[i].Set = func(value string) error {
			environment[s.Variable] = value
			return s.Set(value)
		}
	}
	return settings
}

// logHandler writes the log in its format.
func (o options) logHandler(out io.Writer) slog.Handler {
	level := &slog.HandlerOptions{Level: o.level}
	if o.logFormat == "text" {
		return slog.NewTextHandler(out, level)
	}
	return slog.NewJSONHandler(out, level)
}

const usage = `owt-signal is a signaling server for Open WebRTC Toolkit clients.

  owt-signal                                             try it: http://localhost:8095 is a page to call with
  owt-signal -auth jwt -jwt-issuer https://id.example/   clients prove who they are
  owt-signal -secure :443 -cert c.pem -key k.pem         with a certificate of its own
  owt-signal -plain 127.0.0.1:8095 -secure off -trusted-proxies 127.0.0.1
                                                         behind a proxy on this machine
  owt-signal -dynamodb http://127.0.0.1:8000             the records outlive the process
  owt-signal -version                                    says what it was built from

A flag can be given by the variable beside it instead; if both are given, the flag counts.
`

// parse reads the command line and the environment. If they ask for -help or
// -version, it writes that to out and returns [flag.ErrHelp].
func parse(args []string, out io.Writer) (options, error) {
	o := newOptions()
	groups := o.groups()
	given, err := setting.Parse(args, os.LookupEnv, groups)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, usage)
		setting.PrintHelp(out, groups)
		return o, err
	case errors.Is(err, setting.ErrVersion):
		if info, ok := debug.ReadBuildInfo(); ok { // as every program that has modules
			fmt.Fprintln(out, version(info))
		}
		return o, flag.ErrHelp
	case err != nil:
		return o, err
	}
	o.setFiles()
	if err := o.check(); err != nil {
		return o, err
	}
	return o, o.checkEffect(given)
}

// off is the address of what does not listen.
const off = "off"

// listenAt reads the address of a listener; empty: it is off.
func listenAt(v string) (string, error) {
	if v == off {
		return "", nil
	}
	address, err := parseAddress(v)
	if err != nil {
		return "", fmt.Errorf("%w, nor off", err)
	}
	return address, nil
}

// parseAddress reads an address as [net.Listen] takes it.
func parseAddress(v string) (string, error) {
	_, port, err := net.SplitHostPort(v)
	if _, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil {
		return "", fmt.Errorf("%q is no address such as :8095 or 127.0.0.1:8095", v)
	}
	return v, nil
}

// stageName is what API Gateway allows.
var stageName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

func checkStage(v string) error {
	if !stageName.MatchString(v) {
		return fmt.Errorf("%q is no name of up to 128 letters, digits, - and _", v)
	}
	return nil
}

func parseLevel(v string) (level slog.Level, err error) {
	if err := setting.OneOf("debug", "info", "warn", "error")(strings.ToLower(v)); err != nil {
		return 0, err
	}
	err = level.UnmarshalText([]byte(v))
	return level, err
}

// proxies reads a list of addresses and networks.
func proxies(v string) ([]netip.Prefix, error) {
	list := setting.List(v)
	if len(list) == 0 {
		return nil, setting.ErrEmptyList
	}
	var all []netip.Prefix
	for _, text := range list {
		network, err := netip.ParsePrefix(text)
		if address, e := netip.ParseAddr(text); e == nil {
			network, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", text)
		}
		all = append(all, network.Masked())
	}
	return all, nil
}

// isQuick reports whether messages are handled within this process: then they
// take microseconds, and nothing is to delay or reorder them.
func (o options) isQuick() bool {
	return o.functions == "" && o.lambda == "" && o.dynamodb == "" && o.faults == nil
}

// check checks what does not go together.
func (o options) check() error {
	switch {
	case o.plain == "" && o.secure == "":
		return errors.New("nothing to serve: -plain and -secure are both off")
	case (o.cert == "") != (o.key == ""):
		return errors.New("-cert and -key go together")
	case o.api != "" && o.apiKeys == "" && o.functions == "" && o.lambda == "":
		return errors.New("-api needs -api-key-file: who may use it")
	case o.functions != "" && o.lambda != "":
		return errors.New("-functions and -lambda-endpoint: only one of them")
	case o.functions != "" && o.dynamodb == "":
		return errors.New("-functions needs -dynamodb: functions keep nothing in memory")
	}
	if err := o.checkFaults(); err != nil {
		return fmt.Errorf("-faults: %w", err)
	}
	if missing := o.ice.Missing(); missing != "" {
		return errors.New(missing)
	}
	return cmp.Or(o.auth.Check(), o.ice.Check(), o.events.Check())
}

func (o options) checkFaults() error {
	f := o.faults
	switch {
	case f == nil:
		return nil
	case *f == faults.Spec{Seed: f.Seed}:
		return errors.New("none is turned on")
	case o.lambda != "" && (f.Crash > 0 || f.SlowStore > 0 || f.KeyLimit > 0):
		return errors.New("crash, slow-store and key-limit are not to be had with -lambda-endpoint, whose functions run elsewhere")
	case f.KeyLimit > 0 && o.dynamodb == "":
		return errors.New("key-limit needs -dynamodb: records in memory are in no table")
	}
	return nil
}

// checkEffect checks that everything that is given has an effect.
func (o options) checkEffect(given setting.Given) error {
	elsewhere := o.lambda != ""
	perAddress, connections := o.admission.PerAddress, cmp.Or(o.admission.Connections, gateway.DefaultConnections)
	for _, e := range []struct {
		has   bool
		what  string // is lacking
		flags []string
	}{
		{o.secure != "", "without -secure", []string{"cert"}},
		{o.dynamodb != "", "without -dynamodb", []string{"table"}},
		{o.api != "", "without -api", []string{"api-key-file"}},
		{o.functions == "" && !elsewhere, "with functions, whose URL wants a signature of AWS's", []string{"api-key-file"}},
		{o.functions != "", "without -functions", []string{"concurrency"}},
		{o.functions != "" || elsewhere, "without -functions or -lambda-endpoint", []string{"management"}},
		{!elsewhere, "with -lambda-endpoint: set it in the functions' environment (PING_TIMEOUT)", []string{"ping-timeout"}},
		{o.auth.Mode == auth.ModeJWT, "without -auth jwt", []string{"jwt-claim", "jwt-skew", "jwt-outlive"}},
		{o.auth.Mode == auth.ModeLambda || o.auth.Mode == auth.ModeHTTP, "without -auth lambda or http", []string{"auth-timeout"}},
		{o.functions == "" && !elsewhere, "with -functions or -lambda-endpoint: they change the records, unseen", []string{"events-url"}},
		{o.ice.Shared(), "without -turn-secret-file", []string{"turn-lifetime"}},
		{o.limits.Rate.Limited(), "without -message-rate", []string{"message-burst"}},
		{o.timers.Idle <= o.duration, "beyond -max-duration", []string{"idle-timeout"}},
		{perAddress <= connections, "above -max-connections", []string{"max-per-address"}},
	} {
		for _, f := range e.flags {
			if by, ok := given[f]; ok && !e.has {
				return fmt.Errorf("%s has no effect %s", by, e.what)
			}
		}
	}
	if elsewhere && len(o.environment) > 0 {
		return fmt.Errorf("with -lambda-endpoint, set who may connect, and how much, in the functions' environment: %s",
			strings.Join(slices.Sorted(maps.Keys(o.environment)), ", "))
	}
	return nil
}
