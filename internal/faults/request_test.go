package faults_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/memory"
)

type (
	httpEvent  = events.APIGatewayV2HTTPRequest
	httpAnswer = events.APIGatewayV2HTTPResponse
)

// Invocations for requests are late, and some die: before a call of the store,
// or before their answer.
func TestRequestsAreInvocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := inject(faults.Spec{Delay: 40 * time.Millisecond, Crash: 0.5, Seed: 1})
		store, lived := f.Store(memory.New()), 0
		function := f.HTTP(gateway.HTTPFunctionFunc(func(ctx context.Context, _ *httpEvent) (httpAnswer, error) {
			for range 3 {
				_, _ = store.Get(ctx, "c", 0)
			}
			lived++
			return httpAnswer{Body: "answer"}, nil
		}))
		began, answered := time.Now(), 0
		for range 1000 {
			r, err := function.InvokeHTTP(t.Context(), &httpEvent{})
			if (err == nil) != (r.Body == "answer") {
				t.Fatal(r, err)
			}
			if err == nil {
				answered++
			}
		}
		if answered < 450 || answered > 550 || lived <= answered || lived == 1000 {
			t.Errorf("%d of 1000 came to their end, %d were answered", lived, answered)
		}
		if took := time.Since(began) / 1000; took < 15*time.Millisecond || took > 25*time.Millisecond {
			t.Errorf("late by %v on average", took)
		}
	})
	next := gateway.HTTPFunctionFunc(nil)
	if got, ok := faults.New(nil, nil).HTTP(next).(gateway.HTTPFunctionFunc); !ok || got != nil {
		t.Error("without faults, something is in the path")
	}
}

// requests is a function for requests in processes of their own.
type requests struct{ killed, lived int }

func (r *requests) InvokeHTTP(context.Context, *httpEvent) (httpAnswer, error) {
	r.lived++
	return httpAnswer{}, nil
}

func (r *requests) InvokeHTTPAndKill(context.Context, *httpEvent, time.Duration) (httpAnswer, error) {
	r.killed++
	return httpAnswer{}, errKilled
}

func TestProcessesOfRequestsAreKilled(t *testing.T) {
	var r requests
	f := inject(faults.Spec{Crash: 0.5, Seed: 1})
	function := f.HTTP(f.HTTPEnvironments(&r))
	for range 1000 {
		_, _ = function.InvokeHTTP(t.Context(), &httpEvent{})
	}
	if r.killed < 450 || r.killed > 550 || r.killed+r.lived != 1000 {
		t.Errorf("%d were killed, %d lived", r.killed, r.lived)
	}
	if faults.New(nil, nil).HTTPEnvironments(&r) != gateway.HTTPFunction(&r) {
		t.Error("without faults, something is in the path")
	}
}
