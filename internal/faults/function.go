package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// The events of API Gateway that have faults of their own.
const (
	eventMessage    = "MESSAGE"
	eventDisconnect = "DISCONNECT"
)

var errCrashed = errors.New("invocation crashed")

// Function delays the invocations of next, runs some for messages twice, has
// some die and never makes some for $disconnect. For one that dies before its
// answer it returns an error, which the gateway answers as API Gateway does.
//
// What runs twice is as if API Gateway had got the frame twice: the two run at
// the same time, and both answers go to the client, one of them by answers,
// which should have no faults.
func (f *Faults) Function(next gateway.Function, answers apigw.Connections) gateway.Function {
	if f == nil {
		return next
	}
	return &function{f, next, answers}
}

// Route makes the work that follows an answer of next part of the invocation:
// it dies with it. It goes inside of [Faults.Function].
func (f *Faults) Route(next app.Route) app.Route {
	if f == nil {
		return next
	}
	return func(ctx context.Context, ev *request) (response, signal.After) {
		r, after := next(ctx, ev)
		if after == nil {
			last(ctx)
			return r, nil
		}
		step(ctx)
		if d := of(ctx); d != nil {
			return r, func(ctx context.Context) { after(d.in(ctx)) }
		}
		return r, after
	}
}

type function struct {
	*Faults
	next    gateway.Function
	answers apigw.Connections
}

// Invoke implements [gateway.Function].
func (f *function) Invoke(ctx context.Context, ev *request) (response, error) {
	switch ev.RequestContext.EventType {
	case eventDisconnect:
		if f.disconnects.happens(f.spec.LostDisconnect) {
			f.log.InfoContext(ctx, "disconnect lost", note(ev)...)
			return response{StatusCode: http.StatusOK}, nil
		}
	case eventMessage:
		if f.duplicates.happens(f.spec.Duplicate) {
			f.log.InfoContext(ctx, "invocation runs twice", note(ev)...)
			return f.twice(ctx, ev)
		}
	}
	return once(ctx, ev, f.decide(note(ev)...), f.next.Invoke)
}

// fate is what is decided about an invocation before it begins.
type fate struct {
	delay time.Duration
	doom  *doomed // nil: it lives
}

func (f *Faults) decide(note ...any) fate {
	its := fate{delay: f.invocations.upTo(f.spec.Delay)}
	if dies, share := f.crashes.doom(f.spec.Crash); dies {
		its.doom = &doomed{share: share, log: f.log, note: note}
		its.doom.left.Store(int64(share * meanSteps))
	}
	return its
}

// doom decides whether an invocation dies, and when.
func (s *source) doom(p float64) (dies bool, share float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.Float64() < p, s.random.ExpFloat64()
}

// once runs an invocation, in a goroutine that may end before it returns.
func once[E, R any](ctx context.Context, ev E, its fate, invoke func(context.Context, E) (R, error)) (r R, err error) {
	if err := sleep(ctx, its.delay); err != nil {
		return r, err
	}
	if its.doom != nil {
		ctx = its.doom.in(ctx)
	}
	err = errCrashed
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			}
		}()
		r, err = invoke(ctx, ev)
	}()
	<-ended
	return r, err
}

// twice runs two invocations for a message. The answer that comes first is
// posted, the other one returned; of an answer and an error, the error.
func (f *function) twice(ctx context.Context, ev *request) (response, error) {
	type outcome struct {
		response
		err error
	}
	outcomes := make(chan outcome, 2)
	run := func(ev *request, its fate) {
		r, err := once(ctx, ev, its, f.next.Invoke)
		outcomes <- outcome{r, err}
	}
	again, one, other := *ev, f.decide(note(ev)...), f.decide(note(ev)...)
	go run(ev, one)
	go run(&again, other)
	first := <-outcomes
	if first.err == nil {
		f.answer(ctx, ev, first.response)
	}
	second := <-outcomes
	if first.err != nil && second.err == nil {
		f.answer(ctx, ev, second.response)
		return first.response, first.err
	}
	return second.response, second.err
}

func (f *function) answer(ctx context.Context, ev *request, r response) {
	if r.Body == "" {
		return
	}
	err := f.answers.Post(ctx, "", signal.ConnectionID(ev.RequestContext.ConnectionID), []byte(r.Body))
	if err != nil {
		f.log.InfoContext(ctx, "answer dropped", append(note(ev), "error", err)...)
	}
}

// note is what the log tells of an invocation.
func note(ev *request) []any {
	rc := &ev.RequestContext
	return []any{"connection", rc.ConnectionID, "request", rc.RequestID, "route", rc.RouteKey}
}
