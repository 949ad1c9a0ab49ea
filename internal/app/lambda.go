package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/emf"
	"github.com/owt-signal/owt-signal/internal/extension"
	"github.com/owt-signal/owt-signal/internal/limits"
	"github.com/owt-signal/owt-signal/internal/secret"
	"github.com/owt-signal/owt-signal/internal/setting"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// The environment of a function, as template.yaml sets it.
const (
	variableTable = "TABLE_NAME"
	variableLevel = "LOG_LEVEL"  // DEBUG, INFO, WARN or ERROR
	variableStack = "STACK_NAME" // empty: no metrics
	// how many invocations for messages there may be at once; empty or negative: there is no limit
	variableConcurrency = "MESSAGE_CONCURRENCY"
	variableBackends    = "BACKEND_API" // on: there is an API for backends, which may have users refused
	// Who may connect is read by package auth, and which ICE servers there are by
	// package ice, where that matters.
)

// Admission is how a function learns who may connect, and as what. It may log
// later on, too.
type Admission func(context.Context, *slog.Logger) (signal.Access, error)

// Relays is how a function learns which ICE servers its clients get; nil: none.
type Relays func(context.Context, *slog.Logger) (signal.ICEServers, error)

// Route handles one route of the API.
type Route func(context.Context, *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, signal.After)

// Function is a Lambda function: all handlers, and the metrics of the
// invocation that it runs.
type Function struct {
	*apigw.Handler
	Metrics *emf.Metrics // nil: none
}

// FromEnvironment returns a function as its environment configures it. Without an
// admission it refuses everybody, and hands out no ICE servers: a function that admits
// none need not read secrets, and is smaller.
func FromEnvironment(ctx context.Context, admission Admission, relays Relays) (*Function, error) {
	table := os.Getenv(variableTable)
	if table == "" {
		return nil, errors.New("read environment: " + variableTable + " is not set")
	}
	timers := NewTimers()
	if err := setting.FromEnvironment(os.Getenv, timers.Settings()); err != nil {
		return nil, err
	}
	limited, err := limits.FromEnvironment(os.Getenv)
	if err != nil {
		return nil, err
	}
	concurrency, err := strconv.ParseFloat(cmp.Or(os.Getenv(variableConcurrency), "-1"), 64) // as CloudFormation has numbers
	if err != nil {
		return nil, fmt.Errorf("read environment: %s: %w", variableConcurrency, err)
	}
	config := awsenv.Config()
	var metrics *emf.Metrics
	if stack := os.Getenv(variableStack); stack != "" {
		metrics = emf.New(os.Stdout, stack, time.Now)
		config.APIOptions = append(config.APIOptions, metrics.Measure)
	}
	client := dynamodb.NewFromConfig(config, dynamo.Retry, func(o *dynamodb.Options) {
		o.BaseEndpoint = awsenv.Endpoint("DYNAMODB")
	})
	endpoint := apigw.Endpoint(config.Region)
	if fixed := awsenv.Endpoint("APIGATEWAYMANAGEMENTAPI"); fixed != nil {
		endpoint = func(events.APIGatewayWebsocketProxyRequestContext) string { return *fixed }
	}
	key, err := LogKey(ctx, limited, config)
	if err != nil {
		return nil, err
	}
	log := newLog(os.Getenv(variableLevel), key)
	var access signal.Access
	if admission != nil {
		if access, err = admission(ctx, log); err != nil {
			return nil, err
		}
	}
	var servers signal.ICEServers
	if relays != nil {
		if servers, err = relays(ctx, log); err != nil {
			return nil, err
		}
	}
	if access.Caution != "" {
		log.WarnContext(ctx, "who may connect", "caution", access.Caution)
	}
	store := dynamo.New(client, table)
	var backends signal.BackendStore
	if os.Getenv(variableBackends) == "on" {
		backends = store
	}
	return &Function{Metrics: metrics, Handler: New(Config{
		Store:       store,
		PlaceStore:  store,
		Places:      signal.Places(int(concurrency)),
		Kept:        apigw.KeptRate,
		Connections: apigw.NewManagement(config),
		Endpoint:    endpoint,
		Access:      access,
		ICE:         servers,
		Backends:    backends,
		Limits:      limited,
		Timers:      timers,
		Meter:       metrics,
		Log:         log,
	})}, nil
}

// LogKey returns the key by which users are hashed in logs; empty: they are not.
func LogKey(ctx context.Context, limited limits.Config, config aws.Config) (string, error) {
	if limited.LogKeySecret == "" {
		return limited.LogKey, nil
	}
	key, err := secret.Fetch(ctx, config, limited.LogKeySecret)
	if err == nil && len(key) == 0 {
		err = errors.New("the secret is empty")
	}
	if err != nil {
		return "", fmt.Errorf("read key of users in logs: %w", err)
	}
	return string(key), nil
}

// newLog logs from level on in Lambda's format. Lambda's own filter would take
// away the metrics, too.
func newLog(level, userKey string) *slog.Logger {
	h := atLeast{Handler: HashUsers(BoundLog(lambdacontext.NewLogHandler()), userKey)}
	_ = h.level.UnmarshalText([]byte(level)) // INFO, if it says nothing
	return slog.New(h)
}

// atLeast is a handler that leaves out what is below its level.
type atLeast struct {
	slog.Handler
	level slog.Level
}

func (h atLeast) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level && h.Handler.Enabled(ctx, l)
}

func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{h.Handler.WithAttrs(attrs), h.level}
}

func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{h.Handler.WithGroup(name), h.level}
}

// Serve runs a route as a Lambda function; what follows its answers runs once
// they are out, and the metrics follow that. It returns only if it cannot begin.
func (f *Function) Serve(ctx context.Context, route Route) error {
	after, err := extension.Register(ctx, os.Getenv("AWS_LAMBDA_RUNTIME_API"), "after-response")
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	after.Start(func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (r events.APIGatewayProxyResponse, err error) {
		var work signal.After
		f.Metrics.Watch(func() { r, work = route(ctx, ev) })
		after.Go(func(ctx context.Context) {
			f.Metrics.End(func() {
				if work != nil {
					work(ctx)
				}
			})
		})
		return r, nil
	})
	return nil
}
