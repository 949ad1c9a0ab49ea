package extension_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/extension"
)

func TestRegister(t *testing.T) {
	p := newPlatform(t)
	register := p.register
	p.register = func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if name := r.Header.Get("Lambda-Extension-Name"); err != nil || name != "test" || string(body) != `{"events":["INVOKE"]}` {
			t.Errorf("name %q, body %s, error %v", name, body, err)
		}
		register(w, r)
	}
	p.run()
	p.awaitAsked()
}

func TestRegisterErrors(t *testing.T) {
	_, err := extension.Register(t.Context(), "", "test")
	if !errors.Is(err, extension.ErrNotLambda) || !strings.Contains(err.Error(), `register extension "test": AWS_LAMBDA_RUNTIME_API is not set`) {
		t.Errorf("no address: got error %v, want ErrNotLambda", err)
	}
	p := newPlatform(t)
	p.register = func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"errorType":"Extension.RegistrationClosed"}`, http.StatusForbidden)
	}
	if _, err := extension.Register(t.Context(), p.address(), "test"); err == nil || !strings.Contains(err.Error(), "403 Forbidden") || !strings.Contains(err.Error(), "RegistrationClosed") {
		t.Errorf("refused: got error %v", err)
	}
	p.register = func(http.ResponseWriter, *http.Request) {}
	if _, err := extension.Register(t.Context(), p.address(), "test"); err == nil || !strings.Contains(err.Error(), "no header Lambda-Extension-Identifier") {
		t.Errorf("no identifier: got error %v", err)
	}
	p.server.Close()
	if _, err := extension.Register(t.Context(), p.address(), "test"); err == nil {
		t.Error("no server: no error")
	}
}

// The event and the invocation come at about the same time: either may be first.
func TestWorkRunsAfterTheResponse(t *testing.T) {
	for name, eventFirst := range map[string]bool{"event first": true, "handler first": false} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t)
			e, _ := p.run()
			p.awaitAsked()
			started, open := make(chan struct{}), make(chan struct{})
			handler := func(context.Context, []byte) ([]byte, error) {
				e.Go(func(context.Context) {
					close(started)
					<-open
				})
				return []byte(`"ok"`), nil
			}
			if eventFirst {
				p.events <- invoke("r1", time.Now().Add(time.Minute))
				p.notAsked()
			}
			response, err := call(e, "r1", handler)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(response); string(body) != `"ok"` || err != nil {
				t.Errorf("response %s, %v", body, err)
			}
			p.notAsked()
			if !eventFirst {
				p.events <- invoke("r1", time.Now().Add(time.Minute))
				p.notAsked()
			}
			select {
			case <-started:
				t.Error("the work started before the response was taken")
			default:
			}
			response.Close()
			await(t, started, "the work did not start")
			p.notAsked()
			close(open)
			p.awaitAsked()
		})
	}
}

func TestNothingToDoAfterTheResponse(t *testing.T) {
	p := newPlatform(t)
	e, _ := p.run()
	for range 3 { // with the same id, as in the retry of an asynchronous invocation
		p.awaitAsked()
		p.events <- invoke("r1", time.Now().Add(time.Minute))
		complete(t, e, "r1", func(context.Context, []byte) ([]byte, error) { return []byte("1"), nil })
	}
	p.awaitAsked()
}

func TestHandlerThatNeverBegins(t *testing.T) {
	p := newPlatform(t)
	e, _ := p.run()
	p.awaitAsked()
	p.events <- invoke("r1", time.Now().Add(extension.Margin+time.Second))
	p.notAsked()
	p.awaitAsked()
	p.events <- invoke("r2", time.Now().Add(time.Minute))
	complete(t, e, "r2", func(context.Context, []byte) ([]byte, error) { return nil, nil })
	p.awaitAsked()
}

func TestHandlerThatTakesAllTheTime(t *testing.T) {
	p := newPlatform(t)
	e, _ := p.run()
	p.awaitAsked()
	var cause error
	response, err := call(e, "r1", func(context.Context, []byte) ([]byte, error) {
		p.events <- invoke("r1", time.Now())
		p.notAsked()
		e.Go(func(ctx context.Context) { cause = ctx.Err() })
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	response.Close()
	p.awaitAsked()
	if !errors.Is(cause, context.DeadlineExceeded) {
		t.Errorf("the work's context: %v, want that the deadline has passed", cause)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	succeed := func(context.Context, []byte) ([]byte, error) { return nil, nil }
	for name, occupy := range map[string]func(p *platform, e *extension.Extension){
		"while it waits for an event": func(*platform, *extension.Extension) {},
		"while it waits for the handler": func(p *platform, e *extension.Extension) {
			p.events <- invoke("r1", time.Now().Add(time.Minute))
		},
		"while the handler works": func(p *platform, e *extension.Extension) {
			p.events <- invoke("r1", time.Now().Add(time.Minute))
			call(e, "r1", succeed) // and its response is not taken
		},
		"while work goes on": func(p *platform, e *extension.Extension) {
			started := make(chan struct{})
			e.Go(func(ctx context.Context) {
				close(started)
				<-ctx.Done()
			})
			p.events <- invoke("r1", time.Now().Add(time.Minute))
			complete(p.t, e, "r1", succeed)
			await(p.t, started, "the work did not start")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t)
			e, stop := p.run()
			p.awaitAsked()
			occupy(p, e)
			if err := stop(); err != nil {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}

func TestRunEndsWithTheAPI(t *testing.T) {
	for words, next := range map[string]http.HandlerFunc{
		"500 Internal Server Error: container error": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "container error", http.StatusInternalServerError)
		},
		"EOF":                  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"decode event":         func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{") },
		`got event "SHUTDOWN"`: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"eventType":"SHUTDOWN"}`) },
	} {
		p := newPlatform(t)
		p.next = next
		e, err := extension.Register(t.Context(), p.address(), "test")
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), `run extension "test": `) || !strings.Contains(err.Error(), words) {
			t.Errorf("got error %v, want %q", err, words)
		}
	}
}
