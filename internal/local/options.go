package local

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"regexp"
	"slices"
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
)

// options is what the command line says.
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
	admission     gateway.Limits
	auth          auth.Config
	ice           ice.Config
	limits        limits.Config
	environment   map[string]string // these, for functions in other processes
	timers        app.Timers
	timing        map[string]string // the same for functions in other processes
	duration      time.Duration
	level         slog.Level
	faults        *faults.Spec // nil: none
}

// stageName is what API Gateway allows.
var stageName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// parse reads the command line. For -help it writes the flags to out and
// returns flag.ErrHelp.
func parse(args []string, out io.Writer) (options, error) {
	o := options{
		auth: auth.NewConfig(), ice: ice.NewConfig(), limits: limits.NewConfig(), environment: make(map[string]string),
		timers: app.NewTimers(), timing: make(map[string]string),
	}
	fs := flag.NewFlagSet("owt-signal", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.plain, "plain", ":8095", "`address` for http and ws; empty turns it off")
	fs.StringVar(&o.secure, "secure", ":8096", "`address` for https and wss; empty turns it off")
	fs.StringVar(&o.cert, "cert", "", "certificate `file` (PEM) for -secure; made at start if not given")
	fs.StringVar(&o.key, "key", "", "key `file` (PEM) of -cert")
	fs.StringVar(&o.stage, "stage", "prod", "`name` of the stage, served at /name")
	fs.StringVar(&o.dynamodb, "dynamodb", "", "keep the records in the DynamoDB at this `URL`, not in memory; the table is created if absent")
	fs.StringVar(&o.table, "table", "owt-signal", "`name` of the table, with -dynamodb")
	fs.StringVar(&o.functions, "functions", "", "run the functions that were built for Lambda into this `folder`, such as bin/functions (make build) or .aws-sam/build (sam build); with -dynamodb")
	fs.IntVar(&o.concurrency, "concurrency", lambdaenv.DefaultMaxConcurrency, "largest `number` of processes that a function may have at a time; with -functions")
	fs.StringVar(&o.lambda, "lambda-endpoint", "", "invoke the functions by the Lambda API at this `URL`, such as sam local start-lambda serves; see docs/local.md")
	fs.StringVar(&o.management, "management", "127.0.0.1:0", "`address` of @connections for -functions and -lambda-endpoint; whoever reaches it can post to every client")
	fs.Func("max-connections", fmt.Sprintf("`number` of connections at a time (default %d)", gateway.DefaultConnections),
		setting.Number(&o.admission.Connections, 1, maxConnections))
	fs.Func("max-per-address", fmt.Sprintf("`number` of connections at a time from one address (default %d)", gateway.DefaultPerAddress),
		setting.Number(&o.admission.PerAddress, 1, maxConnections))
	fs.Func("trusted-proxies", "`list` of the addresses, or networks such as 10.0.0.0/8, of proxies in front: their X-Forwarded-For says where a client is (default none)",
		setting.Parsed(&o.admission.Proxies, proxies))
	addFlags(fs, o.environment, o.auth.Settings())
	addFlags(fs, o.environment, o.ice.Settings())
	addFlags(fs, o.environment, o.limits.Settings())
	addFlags(fs, o.timing, o.timers.Settings())
	fs.DurationVar(&o.duration, "max-duration", gateway.DefaultDuration, "after which any connection is closed")
	fs.TextVar(&o.level, "log", slog.LevelInfo, "lowest `level` of log lines: debug, info, warn, error")
	fs.Func("faults", "misbehave as AWS may, by `settings` separated by commas, such as "+faults.Example+":\n"+faults.Usage(), func(text string) (err error) {
		o.faults, err = faults.Parse(text)
		return err
	})
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(out, "owt-signal is a signaling server for Open WebRTC Toolkit clients.\n\nFlags:")
		fs.SetOutput(out)
		fs.PrintDefaults()
		return o, err
	}
	if err != nil {
		return o, fmt.Errorf("%w (see -help)", err)
	}
	if err := o.setSecrets(); err != nil {
		return o, err
	}
	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if err := o.check(fs.Args()); err != nil {
		return o, err
	}
	return o, o.checkFunctions(given)
}

// addFlags adds the settings that have a flag, and keeps in an environment what
// they are set to.
func addFlags(fs *flag.FlagSet, environment map[string]string, settings []setting.Setting) {
	for _, s := range settings {
		if s.Flag != "" {
			fs.Func(s.Flag, s.Usage, func(value string) error {
				environment[s.Variable] = value
				return s.Set(value)
			})
		}
	}
}

// maxConnections is more than a machine has ports.
const maxConnections = 1_000_000

// proxies reads a list of addresses and networks.
func proxies(v string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range setting.List(v) {
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

func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q (see -help)", rest[0])
	case o.plain == "" && o.secure == "":
		return errors.New("nothing to serve: -plain and -secure are both empty")
	case (o.cert == "") != (o.key == ""):
		return errors.New("-cert and -key go together")
	case !stageName.MatchString(o.stage):
		return fmt.Errorf("-stage %q: letters, digits, - and _ only", o.stage)
	case o.duration <= 0:
		return errors.New("-max-duration must be more than zero")
	}
	if missing := o.ice.Missing(); missing != "" {
		return errors.New(missing)
	}
	return cmp.Or(o.auth.Check(), o.ice.Check())
}

// checkFunctions checks what goes with functions in other processes.
func (o options) checkFunctions(given map[string]bool) error {
	elsewhere := o.lambda != ""
	switch {
	case o.functions != "" && elsewhere:
		return errors.New("-functions and -lambda-endpoint: only one of them")
	case o.functions != "" && o.dynamodb == "":
		return errors.New("-functions needs -dynamodb: functions keep nothing in memory")
	case o.functions == "" && given["concurrency"]:
		return errors.New("-concurrency goes with -functions")
	case o.functions == "" && !elsewhere && given["management"]:
		return errors.New("-management goes with -functions or -lambda-endpoint")
	case o.concurrency < 1:
		return errors.New("-concurrency must be more than zero")
	case elsewhere && given["ping-timeout"]:
		return errors.New("-ping-timeout: with -lambda-endpoint, set it in the functions' environment (PING_TIMEOUT)")
	case elsewhere && len(o.environment) > 0:
		return fmt.Errorf("with -lambda-endpoint, set who may connect, and how much, in the functions' environment: %s",
			strings.Join(slices.Sorted(maps.Keys(o.environment)), ", "))
	case elsewhere && o.faults != nil && (o.faults.Crash > 0 || o.faults.SlowStore > 0 || o.faults.KeyLimit > 0):
		return errors.New("-faults: crash, slow-store and key-limit are not to be had with -lambda-endpoint, whose functions run elsewhere")
	case o.faults != nil && o.faults.KeyLimit > 0 && o.dynamodb == "":
		return errors.New("-faults: key-limit needs -dynamodb: records in memory are in no table")
	}
	return nil
}
