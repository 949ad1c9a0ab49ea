package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/gateway"
)

// reachWithin bounds how long an Invoke API may take to show that it is there.
const reachWithin = 5 * time.Second

// invokeAPI is the backend of functions behind a Lambda Invoke API, such as
// `sam local start-lambda` serves, by the logical ids of template.yaml. Their
// environment is that API's affair.
type invokeAPI struct {
	client *lambda.Client
	http   *http.Client
}

func newInvokeAPI(ctx context.Context, o options, a *api) (*invokeAPI, error) {
	i := &invokeAPI{http: &http.Client{Transport: new(http.Transport)}} // an answer may take as long as the gateway waits
	if err := i.reach(ctx, o.lambda); err != nil {
		return nil, fmt.Errorf("use Lambda at %s: %w", o.lambda, err)
	}
	a.reach = func(ctx context.Context) error { return i.reach(ctx, o.lambda) }
	if o.dynamodb != "" {
		if _, err := newStore(ctx, o, nil, nil); err != nil {
			return nil, err
		}
	}
	i.client = lambda.NewFromConfig(awsenv.ConfigOr("us-east-1", "local"), func(l *lambda.Options) {
		l.BaseEndpoint, l.HTTPClient = &o.lambda, i.http
		l.Retryer = aws.NopRetryer{} // as API Gateway, which does not repeat an invocation
	})
	return i, a.serveManagement(o)
}

// reach sees that an HTTP server is there, whatever it answers.
func (i *invokeAPI) reach(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	r.Close = true
	answer, err := i.http.Do(r)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

func (i *invokeAPI) function(f function) gateway.Function {
	return gateway.FunctionFunc(func(ctx context.Context, ev *request) (response, error) {
		return exchange[*request, response](ctx, ev, func(ctx context.Context, payload []byte) ([]byte, error) { return i.invoke(ctx, f, payload) })
	})
}

func (i *invokeAPI) httpFunction(f function) gateway.HTTPFunction {
	return gateway.HTTPFunctionFunc(func(ctx context.Context, ev *apigw.HTTPRequest) (apigw.HTTPResponse, error) {
		return exchange[*apigw.HTTPRequest, apigw.HTTPResponse](ctx, ev, func(ctx context.Context, payload []byte) ([]byte, error) { return i.invoke(ctx, f, payload) })
	})
}

func (i *invokeAPI) keepalive(ctx context.Context) error {
	_, err := i.invoke(ctx, keepalive, []byte("{}"))
	return err
}

// invoke invokes a function and waits for its answer.
func (i *invokeAPI) invoke(ctx context.Context, f function, payload []byte) ([]byte, error) {
	out, err := i.client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(f.logicalID), Payload: payload})
	if err != nil {
		return nil, fmt.Errorf("invoke function %s: %w", f.logicalID, err)
	}
	if out.FunctionError != nil {
		return nil, fmt.Errorf("invoke function %s: %w", f.logicalID, functionError(out.Payload))
	}
	return out.Payload, nil
}

// functionError is what Lambda answers for a function that failed.
func functionError(payload []byte) error {
	var failure struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(payload, &failure); err != nil {
		failure.ErrorMessage = string(payload)
	}
	return errors.New(failure.ErrorType + ": " + failure.ErrorMessage)
}

// close has little to end: what is under way is so elsewhere.
func (i *invokeAPI) close(context.Context) { i.http.CloseIdleConnections() }
