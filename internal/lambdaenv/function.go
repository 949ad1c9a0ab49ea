// Package lambdaenv runs binaries built for AWS Lambda (provided.al2023, a bootstrap that asks the Runtime API for its
// work) on this machine, untouched.
//
// A [Function] is one binary with its configuration. It keeps execution environments: a process each, with a Runtime API
// (2018-06-01) and an Extensions API (2020-01-01) of its own on a loopback port. Source: Lambda Developer Guide, "Using
// the Lambda runtime API for custom runtimes", "Using the Lambda Extensions API to create extensions", "Understanding
// the Lambda execution environment lifecycle", "Defined runtime environment variables".
//
// As on AWS, an environment runs one invocation at a time, the caller gets the response as soon as the runtime posts
// it, and the environment is free again only when the runtime and every extension have asked for what comes next. Not
// as on AWS: nothing is frozen between invocations, memory and CPU are not limited, a failed init is not tried a second
// time, idle environments are kept until Close, and there are no external extensions, telemetry, response streaming or
// snapshots.
package lambdaenv

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults and limits of a function. Source: Lambda Developer Guide, "Lambda quotas", where not said otherwise.
const (
	DefaultTimeout = 3 * time.Second
	MaxTimeout     = 15 * time.Minute

	// DefaultInitTimeout is how long an environment may take to become ready, before its first invocation.
	DefaultInitTimeout = 10 * time.Second

	// DefaultMaxConcurrency is this package's own: on AWS it is 1000 for all functions of an account in a Region.
	DefaultMaxConcurrency = 100

	// MaxPayload is the size in bytes of an invocation's payload, and of its response: 6 MB, exactly the number in
	// Lambda's own error messages.
	MaxPayload = 6291556

	// ShutdownGrace is the time between SIGTERM and SIGKILL, for a runtime with an internal extension.
	ShutdownGrace = 500 * time.Millisecond

	// settleTime is how long Invoke waits, before it starts an environment or gives up, for one whose response is out
	// and that has not yet asked for more. On AWS that moment hides in the way of the response to the caller; here it
	// would cost whoever invokes one after the other a second environment.
	settleTime = 25 * time.Millisecond
)

// Config describes a function. Bootstrap is needed, everything else has a default.
type Config struct {
	// Name of the function. Default: the name of the folder that Bootstrap is in.
	Name string
	// Bootstrap is the path of the binary.
	Bootstrap string
	// Handler is the value of _HANDLER. Default: the file name of Bootstrap.
	Handler string
	// Region is the value of AWS_REGION. Default: us-east-1.
	Region string
	// MemoryMB is what AWS_LAMBDA_FUNCTION_MEMORY_SIZE says. It limits nothing. Default: 128.
	MemoryMB int
	// Env is added to the environment of the process, which has nothing of this process's own. Reserved names are
	// refused, as by Lambda, except for AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, which are dummies
	// if not given.
	Env map[string]string

	// Timeout is how long one invocation may take, the work of the extensions included. Default: DefaultTimeout.
	Timeout time.Duration
	// InitTimeout is how long an environment may take to start. Default: DefaultInitTimeout.
	InitTimeout time.Duration
	// MaxConcurrency is the most environments at a time. Default: DefaultMaxConcurrency.
	MaxConcurrency int

	// AnswersLast withholds an answer until the work of the extensions is done, as AWS's runtime interface emulator does,
	// in which `sam local` runs a function. Lambda itself does not.
	AnswersLast bool

	// Logs gets each line that the processes write to stdout and stderr, and one for each that had to be ended or ended
	// itself, with its newline and the number of its environment, counted from 1. It is never called twice at a time.
	// Default: nobody.
	Logs func(environment int, line []byte)
	// Started is told of each environment that is started, and of its process. Default: nobody.
	Started func(environment, pid int)
	// Reports gets a report of each invocation that came to its end, before the environment gets another. It must not
	// call the function's methods. Default: nobody.
	Reports func(Report)
}

// Function is a binary that can be invoked. Make it with New and Close it. Its methods may be called from several
// goroutines.
type Function struct {
	config  Config
	number  atomic.Int64   // of environments so far
	alive   sync.WaitGroup // goroutines of the environments
	logging sync.Mutex     // one line at a time

	mu           sync.Mutex
	closed       bool
	environments map[*environment]struct{} // all that have been started and are not gone
	free         []*environment            // those without an invocation; the last used one is last, and used next
	settling     map[*environment]struct{} // those whose response is out but that are not free yet
	changed      chan struct{}             // closed and made anew when an environment becomes free or is gone
}

// New checks the configuration, fills in the defaults, and returns the function. No process is started before the first
// invocation.
func New(config Config) (*Function, error) {
	if err := complete(&config); err != nil {
		return nil, fmt.Errorf("configure function %q: %w", config.Name, err)
	}
	return &Function{
		config:       config,
		environments: make(map[*environment]struct{}),
		settling:     make(map[*environment]struct{}),
		changed:      make(chan struct{}),
	}, nil
}

// complete fills in the defaults of config and checks it.
func complete(config *Config) error {
	path, err := filepath.Abs(config.Bootstrap)
	if err != nil {
		return err
	}
	config.Name = cmp.Or(config.Name, filepath.Base(filepath.Dir(path)))
	config.Handler = cmp.Or(config.Handler, filepath.Base(path))
	config.Region = cmp.Or(config.Region, "us-east-1")
	config.MemoryMB = cmp.Or(config.MemoryMB, 128)
	config.Timeout = cmp.Or(config.Timeout, DefaultTimeout)
	config.InitTimeout = cmp.Or(config.InitTimeout, DefaultInitTimeout)
	config.MaxConcurrency = cmp.Or(config.MaxConcurrency, DefaultMaxConcurrency)

	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("find bootstrap: %w", err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("bootstrap %s is not an executable file", path)
	case config.Timeout < 0 || config.Timeout > MaxTimeout:
		return fmt.Errorf("timeout %v is not between 0 and %v", config.Timeout, MaxTimeout)
	case config.MaxConcurrency < 0:
		return fmt.Errorf("maximum concurrency %d is negative", config.MaxConcurrency)
	}
	if config.Logs == nil {
		config.Logs = func(int, []byte) {}
	}
	if config.Started == nil {
		config.Started = func(int, int) {}
	}
	config.Bootstrap = path
	return checkVariables(config.Env)
}

// Invoke runs one invocation and returns what the handler answered. An empty payload becomes {}.
//
// Once begun, the invocation runs to its end, even if ctx ends before, as it does on AWS when a caller goes away; Invoke
// then returns the error of ctx. Other errors: a [*FunctionError], if the function answered with an error, timed out,
// exited or failed to start; [ErrThrottled]; [ErrClosed]; a payload that is not JSON or larger than [MaxPayload].
func (f *Function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return f.invoke(ctx, payload, nil)
}

// InvokeAndKill is Invoke, and the end of the process that it is given to: it is killed when the invocation has gone on
// for so long, wherever that finds it, and at the end of the invocation at the latest.
func (f *Function) InvokeAndKill(ctx context.Context, payload []byte, after time.Duration) ([]byte, error) {
	return f.invoke(ctx, payload, &after)
}

// invoke runs an invocation, after whose life its process is killed, if that is not nil.
func (f *Function) invoke(ctx context.Context, payload []byte, life *time.Duration) ([]byte, error) {
	inv, err := newInvocation(f.config, payload)
	if err == nil {
		inv.life = life
		err = f.place(ctx, inv)
	}
	var a answer
	if err == nil {
		select {
		case a = <-inv.answered:
			err = a.err
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("invoke function %q: %w", f.config.Name, err)
	}
	return a.payload, nil
}

// Drain waits until no invocation is under way, nor work that follows an answer. It returns the error of ctx if that
// ends before.
func (f *Function) Drain(ctx context.Context) error {
	for {
		idle, changed := f.idle()
		if idle {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("drain function %q: %w", f.config.Name, ctx.Err())
		}
	}
}

// Close ends all environments: SIGTERM, then SIGKILL after [ShutdownGrace] or when ctx ends. Invocations that are not
// answered yet, and later ones, fail with [ErrClosed]. When Close returns, the processes and all goroutines are gone. It
// returns the error of ctx if that ended before.
func (f *Function) Close(ctx context.Context) error {
	var shutdowns sync.WaitGroup
	for _, e := range f.shut() {
		shutdowns.Go(func() { e.shutdown(ctx) })
	}
	shutdowns.Wait()
	f.alive.Wait()
	return ctx.Err()
}
