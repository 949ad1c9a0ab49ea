package dynamo_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// answers is a DynamoDB whose answers are given, one for each request.
type answers []string

const (
	served      = `{}`
	throttled   = `{"__type":"com.amazon.coral.availability#ThrottlingException","message":"slower"}`
	provisioned = `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slower"}`
	failing     = `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"oops"}`
	lost        = ""
)

// Do implements [dynamodb.HTTPClient].
func (a *answers) Do(*http.Request) (*http.Response, error) {
	text := (*a)[0]
	*a = (*a)[1:]
	status := http.StatusBadRequest
	switch text {
	case lost:
		return nil, io.ErrUnexpectedEOF
	case served:
		status = http.StatusOK
	case failing:
		status = http.StatusInternalServerError
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: io.NopCloser(strings.NewReader(text))}, nil
}

// TestRetry: a call is made three times, whatever fails. One that was refused each
// time is known not to have been made, and its error says so; one that may have been
// made is not.
func TestRetry(t *testing.T) {
	for name, test := range map[string]struct {
		answers answers
		served  bool
		busy    bool
	}{
		"throttled once":                  {answers{throttled, served}, true, false},
		"throttled twice":                 {answers{throttled, throttled, served}, true, false},
		"throttled three times":           {answers{throttled, throttled, throttled}, false, true},
		"as a provisioned table does":     {answers{provisioned, throttled, provisioned}, false, true},
		"lost, then served":               {answers{lost, served}, true, false},
		"lost, then throttled":            {answers{lost, throttled, throttled}, false, false},
		"throttled, then failing":         {answers{throttled, throttled, failing}, false, false},
		"failing":                         {answers{failing, failing, failing}, false, false},
		"lost":                            {answers{lost, lost, lost}, false, false},
		"throttled, failing, then served": {answers{throttled, failing, served}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := dynamo.New(dynamodb.NewFromConfig(awsenv.ConfigOr("us-east-1", "test"), dynamo.Retry, func(o *dynamodb.Options) {
					o.HTTPClient = &test.answers
				}), "records")
				began := time.Now()
				_, err := store.Get(t.Context(), "c", 0)
				if errors.Is(err, signal.ErrNoConnection) != test.served || errors.Is(err, signal.ErrBusy) != test.busy || err == nil {
					t.Errorf("error %v", err)
				}
				if len(test.answers) > 0 {
					t.Errorf("%d more tries are wanted", len(test.answers))
				}
				// What a holder of a lease has between two looks at the clock.
				if took := time.Since(began); took == 0 || took > lane.PostStartWithin/4 {
					t.Errorf("tried for %v", took)
				}
			})
		})
	}
}
