package lambdaenv_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/lambdaenv"
	"github.com/owt-signal/owt-signal/internal/lambdatest"
)

// TestInvokeBySDK: AWS's client of Lambda takes the functions that tests serve
// to those who authenticate by one for Lambda's own.
func TestInvokeBySDK(t *testing.T) {
	server := httptest.NewServer(lambdatest.InvokeAPI(map[string]*lambdaenv.Function{"probe": start(t, lambdaenv.Config{}).Function}))
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := lambda.NewFromConfig(awsenv.ConfigOr("us-east-1", "test"), func(o *lambda.Options) {
		o.BaseEndpoint, o.HTTPClient, o.Retryer = &server.URL, &http.Client{Transport: transport}, aws.NopRetryer{}
	})
	out, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("probe"), Payload: []byte(`{"Env":["HOME"]}`)})
	if err != nil || out.FunctionError != nil || out.StatusCode != http.StatusOK || !strings.Contains(string(out.Payload), "RequestID") {
		t.Errorf("%+v, %v", out, err)
	}
	for _, fault := range []string{"error", "panic", "exit"} {
		out, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("probe"), Payload: []byte(`{"Fault":"` + fault + `"}`)})
		if err != nil || out.FunctionError == nil || *out.FunctionError != "Unhandled" || !strings.Contains(string(out.Payload), "errorType") {
			t.Errorf("%s: %+v, %v", fault, out, err)
		}
	}
	_, err = client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("other")})
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok {
		t.Errorf("another function: %v", err)
	}
}
