package extension_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/owt-signal/owt-signal/internal/extension"
)

func TestContextOfWork(t *testing.T) {
	p := newPlatform(t)
	e, _ := p.run()
	p.awaitAsked()
	deadline := time.UnixMilli(time.Now().Add(time.Minute).UnixMilli())
	p.events <- invoke("r1", deadline)
	complete(t, e, "r1", func(ctx context.Context, _ []byte) ([]byte, error) {
		e.Go(func(ctx context.Context) {
			if end, ok := ctx.Deadline(); !ok || !end.Equal(deadline.Add(-extension.Margin)) {
				t.Errorf("deadline %v, want %v before %v", end, extension.Margin, deadline)
			}
			if lc, ok := lambdacontext.FromContext(ctx); !ok || lc.AwsRequestID != "r1" {
				t.Error("the context has not the values of the handler's")
			}
		})
		return nil, nil
	})
	p.awaitAsked()
}

func TestWorkIsCancelledAtItsDeadline(t *testing.T) {
	p := newPlatform(t)
	e, _ := p.run()
	p.awaitAsked()
	p.events <- invoke("r1", time.Now().Add(extension.Margin+2*blink))
	var cause error
	complete(t, e, "r1", func(context.Context, []byte) ([]byte, error) {
		e.Go(func(ctx context.Context) {
			<-ctx.Done()
			cause = ctx.Err()
		})
		return nil, nil
	})
	p.awaitAsked()
	if !errors.Is(cause, context.DeadlineExceeded) {
		t.Errorf("the work was ended by %v, want its deadline", cause)
	}
}

func TestPiecesOfWork(t *testing.T) {
	p := newPlatform(t)
	e, _ := p.run()
	p.awaitAsked()
	var mu sync.Mutex
	var done []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		done = append(done, what)
	}
	e.Go(func(context.Context) { note("before any invocation") })
	p.events <- invoke("r1", time.Now().Add(time.Minute))
	complete(t, e, "r1", func(context.Context, []byte) ([]byte, error) {
		var meeting sync.WaitGroup // of pieces that run at the same time
		meeting.Add(2)
		for _, name := range []string{"one", "two"} {
			e.Go(func(context.Context) {
				meeting.Done()
				meeting.Wait()
				note(name)
				e.Go(func(context.Context) { note("left by " + name) })
			})
		}
		e.Go(func(context.Context) { panic("not this one") })
		return nil, nil
	})
	p.awaitAsked()
	slices.Sort(done)
	if want := []string{"before any invocation", "left by one", "left by two", "one", "two"}; !slices.Equal(done, want) {
		t.Errorf("done %q, want %q", done, want)
	}
}

func TestWorkOfAHandlerThatFails(t *testing.T) {
	p := newPlatform(t)
	e, _ := p.run()
	p.awaitAsked()
	p.events <- invoke("r1", time.Now().Add(time.Minute))
	failure, ran := errors.New("no"), false
	_, err := call(e, "r1", func(context.Context, []byte) ([]byte, error) {
		e.Go(func(context.Context) { ran = true })
		return nil, failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("got error %v, want the handler's own", err)
	}
	p.awaitAsked()
	if !ran {
		t.Error("the work was not done")
	}
}

func TestWorkOfAHandlerThatPanics(t *testing.T) {
	p := newPlatform(t)
	e, _ := p.run()
	p.awaitAsked()
	p.events <- invoke("r1", time.Now().Add(time.Minute))
	func() {
		defer func() {
			if value := recover(); value != "oh no" {
				t.Errorf("recovered %v, want the handler's own panic", value)
			}
		}()
		call(e, "r1", func(context.Context, []byte) ([]byte, error) {
			e.Go(func(context.Context) { t.Error("the work was started") })
			panic("oh no")
		})
	}()
	p.awaitAsked()
}
