package local

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/lambdaenv"
)

// memoryMB is what template.yaml gives the functions.
const memoryMB = 256

// environments is the backend of functions built for Lambda, in processes on
// this machine.
type environments struct {
	functions map[function]*lambdaenv.Function
	store     *service       // one with faults; nil: there is none
	faults    *faults.Faults // nil: none
	log       *slog.Logger
}

// newEnvironments finds the functions and serves what they need. No process is
// started before its first invocation.
func newEnvironments(ctx context.Context, o options, a *api, logs io.Writer) (*environments, error) {
	bootstraps, err := findBootstraps(o.functions)
	if err != nil {
		return nil, err
	}
	store, err := newStore(ctx, o, nil, nil)
	if err != nil {
		return nil, err
	}
	a.reach = reachStore(store)
	e := &environments{functions: make(map[function]*lambdaenv.Function), faults: a.faults, log: a.log}
	config, err := e.serve(ctx, o, a)
	for f, bootstrap := range bootstraps {
		if err == nil {
			err = e.add(f, bootstrap, config, logs)
		}
	}
	if err != nil {
		e.store.close()
		return nil, err
	}
	return e, nil
}

// serve serves @connections, and a store with faults if there is to be one. It returns
// what the functions' configurations have in common.
func (e *environments) serve(ctx context.Context, o options, a *api) (config lambdaenv.Config, err error) {
	if err := a.serveManagement(o); err != nil {
		return config, err
	}
	database := o.dynamodb
	if o.faults != nil && (o.faults.SlowStore > 0 || o.faults.KeyLimit > 0) {
		if err := e.serveStore(database); err != nil {
			return config, err
		}
		database = e.store.url()
	}
	aws := awsenv.ConfigOr("us-east-1", "local")
	credentials, err := aws.Credentials.Retrieve(ctx)
	if err != nil {
		return config, err
	}
	env := maps.Clone(o.environment)
	maps.Copy(env, o.timing)
	if o.api != "" {
		env["BACKEND_API"] = "on"
	}
	if url := awsenv.Endpoint("LAMBDA"); url != nil { // of a function that says who clients are
		env["AWS_ENDPOINT_URL_LAMBDA"] = *url
	}
	maps.Copy(env, map[string]string{
		"AWS_ACCESS_KEY_ID":                        credentials.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY":                    credentials.SecretAccessKey,
		"AWS_SESSION_TOKEN":                        credentials.SessionToken,
		"AWS_ENDPOINT_URL_DYNAMODB":                database,
		"AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": a.management.url() + "/" + o.stage,
		"AWS_LAMBDA_LOG_FORMAT":                    "JSON",
		"AWS_LAMBDA_LOG_LEVEL":                     o.level.String(),
		"TABLE_NAME":                               o.table,
		"LOG_LEVEL":                                o.level.String(),
		"MESSAGE_CONCURRENCY":                      strconv.Itoa(o.concurrency), // of which a part may linger, as on AWS
	})
	return lambdaenv.Config{
		Region:         aws.Region,
		MemoryMB:       memoryMB,
		MaxConcurrency: o.concurrency,
		Env:            env,
	}, nil
}

// serveStore serves a DynamoDB with the faults of the store. A local one does
// not mind that requests were signed for another address; AWS's would refuse
// them.
func (e *environments) serveStore(endpoint string) error {
	target, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: e.faults.Table(http.DefaultTransport.RoundTrip),
		ErrorLog:  slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
	}
	e.store, err = serve("127.0.0.1:0", e.faults.StoreAPI(proxy), e.log)
	return err
}

// add adds a function. Its logs go to logs, each line with the name of the
// function and the number of the environment before it.
func (e *environments) add(f function, bootstrap string, config lambdaenv.Config, logs io.Writer) (err error) {
	config.Name, config.Bootstrap, config.Timeout = f.name, bootstrap, f.timeout
	config.Env = maps.Clone(config.Env)
	config.Logs = func(environment int, line []byte) {
		_, _ = logs.Write(fmt.Appendf(nil, "%s/%d: %s", f.name, environment, line))
	}
	config.Started = func(environment, pid int) {
		e.log.Info("environment started", "function", f.name, "environment", environment, "process", pid)
	}
	e.functions[f], err = lambdaenv.New(config)
	return err
}

func (e *environments) function(f function) gateway.Function {
	return e.faults.Environments(environment{e.functions[f]})
}

// environment speaks Lambda's JSON to a function.
type environment struct{ *lambdaenv.Function }

// Invoke implements [gateway.Function].
func (e environment) Invoke(ctx context.Context, ev *request) (response, error) {
	return exchange[*request, response](ctx, ev, e.Function.Invoke)
}

// InvokeHTTP implements [gateway.HTTPFunction].
func (e environment) InvokeHTTP(ctx context.Context, ev *apigw.HTTPRequest) (apigw.HTTPResponse, error) {
	return exchange[*apigw.HTTPRequest, apigw.HTTPResponse](ctx, ev, e.Function.Invoke)
}

// InvokeAndKill implements [faults.Environments].
func (e environment) InvokeAndKill(ctx context.Context, ev *request, after time.Duration) (response, error) {
	return exchange[*request, response](ctx, ev, func(ctx context.Context, payload []byte) ([]byte, error) {
		return e.Function.InvokeAndKill(ctx, payload, after)
	})
}

// InvokeHTTPAndKill implements [faults.HTTPEnvironments].
func (e environment) InvokeHTTPAndKill(ctx context.Context, ev *apigw.HTTPRequest, after time.Duration) (apigw.HTTPResponse, error) {
	return exchange[*apigw.HTTPRequest, apigw.HTTPResponse](ctx, ev, func(ctx context.Context, payload []byte) ([]byte, error) {
		return e.Function.InvokeAndKill(ctx, payload, after)
	})
}

func (e *environments) httpFunction(f function) gateway.HTTPFunction {
	return e.faults.HTTPEnvironments(environment{e.functions[f]})
}

func (e *environments) keepalive(ctx context.Context) error {
	_, err := e.functions[keepalive].Invoke(ctx, nil)
	return err
}

// close waits for the invocations under way and ends the processes.
func (e *environments) close(ctx context.Context) {
	var all sync.WaitGroup
	for f, running := range e.functions {
		all.Go(func() {
			if err := running.Drain(ctx); err != nil {
				e.log.WarnContext(ctx, "work cut off", "function", f.name, "error", err)
			}
			// Which takes lambdaenv.ShutdownGrace at most.
			if err := running.Close(context.WithoutCancel(ctx)); err != nil {
				e.log.WarnContext(ctx, "end processes", "function", f.name, "error", err)
			}
		})
	}
	all.Wait()
	e.store.close()
}
