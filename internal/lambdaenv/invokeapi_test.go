package lambdaenv_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/lambdaenv"
)

// invokeAPI serves a probe as "probe", and returns AWS's client of it.
func invokeAPI(t *testing.T, config lambdaenv.Config) (*httptest.Server, *lambda.Client) {
	t.Helper()
	server := httptest.NewServer(lambdaenv.InvokeAPI{"probe": start(t, config).Function})
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return server, lambda.NewFromConfig(awsenv.ConfigOr("us-east-1", "test"), func(o *lambda.Options) {
		o.BaseEndpoint, o.HTTPClient, o.Retryer = &server.URL, &http.Client{Transport: transport}, aws.NopRetryer{}
	})
}

func TestInvokeBySDK(t *testing.T) {
	_, client := invokeAPI(t, lambdaenv.Config{})
	for _, name := range []string{"probe", "probe:$LATEST", "arn:aws:lambda:us-east-1:000000000000:function:probe", "arn:aws:lambda:us-east-1:000000000000:function:probe:7"} {
		out, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{"Env":["HOME"]}`)})
		if err != nil || out.FunctionError != nil || out.StatusCode != http.StatusOK || !strings.Contains(string(out.Payload), "RequestID") {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	for _, fault := range []string{"error", "panic", "exit"} {
		out, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("probe"), Payload: []byte(`{"Fault":"` + fault + `"}`)})
		if err != nil || out.FunctionError == nil || *out.FunctionError != "Unhandled" || !strings.Contains(string(out.Payload), "errorType") {
			t.Errorf("%s: %+v, %v", fault, out, err)
		}
	}
	_, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("other")})
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok {
		t.Errorf("another function: %v", err)
	}
	_, err = client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("probe"), Payload: []byte(`{`)})
	if _, ok := errors.AsType[*types.InvalidRequestContentException](err); !ok {
		t.Errorf("payload that is no JSON: %v", err)
	}
}

func TestInvokeWhenAllAreBusy(t *testing.T) {
	gate := newGate(t)
	_, client := invokeAPI(t, lambdaenv.Config{MaxConcurrency: 1})
	done := make(chan error, 1)
	go func() {
		_, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("probe"), Payload: []byte(`{"Gate":"` + gate.URL + `"}`)})
		done <- err
	}()
	gate.await(t)
	_, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("probe")})
	if _, ok := errors.AsType[*types.TooManyRequestsException](err); !ok {
		t.Errorf("%v, want throttled", err)
	}
	gate.open()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoInvocation(t *testing.T) {
	server, _ := invokeAPI(t, lambdaenv.Config{})
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/2015-03-31/functions/probe/invocations", http.StatusForbidden},
		{http.MethodPost, "/2015-03-31/functions/probe", http.StatusForbidden},
		{http.MethodPost, "/2015-03-31/functions/a/b/invocations", http.StatusForbidden},
		{http.MethodPost, "/", http.StatusForbidden},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, response.StatusCode, body)
		}
	}
}
