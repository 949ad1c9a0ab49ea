package lambdaenv

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// state is what an environment is doing.
type state int

const (
	stateNew      state = iota // nothing is started yet
	stateStarting              // the process runs; it or an extension is not ready for its first invocation yet
	stateBusy                  // an invocation has been given out; it or an extension has not asked for more yet
	stateFree                  // all wait for the next invocation
	stateEnded                 // the process is being ended, or is gone
)

// environment is one execution environment: a process and the APIs it talks to. Its lock may be held when that of its
// function is taken, not the other way round.
type environment struct {
	function *Function
	number   int
	logs     environmentLogs

	mu      sync.Mutex
	state   state
	process *process
	timer   *time.Timer // ends the environment if the init, or the invocation, takes too long
	watched stopwatch

	// The invocation it was started for, or has been given.
	current  *invocation
	answered bool
	withheld *answer // until the work that follows is done; nil: none

	// Who waits for the next invocation.
	runtime    chan *invocation // the runtime's request; nil while it works
	extensions map[string]*extension
}

// extension is an internal extension that the process has registered.
type extension struct {
	name   string
	invoke bool             // subscribed to INVOKE
	next   chan *invocation // its request for the next event; nil while it works
}

func newEnvironment(f *Function) *environment {
	number := int(f.number.Add(1))
	return &environment{
		function:   f,
		number:     number,
		logs:       environmentLogs{f, number},
		extensions: make(map[string]*extension),
	}
}

// deliver gives the environment an invocation. It is false, and the invocation still to be placed, if the environment
// has ended.
func (e *environment) deliver(inv *invocation) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch e.state {
	case stateNew:
		e.current = inv
		if err := e.start(); err != nil {
			e.end(platformError(TypeInvalidEntrypoint, err.Error()))
		}
		return true
	case stateFree:
		e.current = inv
		e.dispatch()
		return true
	default:
		return false
	}
}

// start starts the process and serves its APIs. e.mu is held.
func (e *environment) start() error {
	f := e.function
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the runtime: %w", err)
	}
	e.watched.started = time.Now()
	process, err := startProcess(f.config, listener.Addr().String(), e.logs)
	if err != nil {
		_ = listener.Close()
		return fmt.Errorf("start process: %w", err)
	}
	e.state, e.process = stateStarting, process
	f.config.Started(e.number, process.cmd.Process.Pid)
	e.limit(f.config.InitTimeout)
	server := &http.Server{Handler: processOnly(listener.Addr().String(), e.routes()), ReadHeaderTimeout: headersWithin}
	f.alive.Go(func() { _ = server.Serve(listener) })
	f.alive.Go(func() { e.watch(server) })
	return nil
}

// headersWithin is how long a process may take to send the headers of a request. On a
// busy machine that may be seconds, and a process that is cut off while it starts ends.
const headersWithin = time.Minute

// watch waits for the end of the process and cleans up after it.
func (e *environment) watch(server *http.Server) {
	e.exited(e.process.wait())
	ctx, cancel := context.WithTimeout(context.Background(), ShutdownGrace)
	defer cancel()
	_ = server.Shutdown(ctx)
	_ = server.Close()
}

// dispatch gives the current invocation to the runtime and to the extensions that want to know. e.mu is held.
func (e *environment) dispatch() {
	timeout := e.function.config.Timeout
	e.state, e.answered = stateBusy, false
	e.watched.given = time.Now()
	e.current.deadline = e.watched.given.Add(timeout)
	e.limit(timeout)
	if inv := e.current; inv.life != nil {
		time.AfterFunc(*inv.life, func() { e.crash(inv) })
	}
	// A runtime that waits no more has lost its connection; it is given the invocation when it asks again.
	if e.runtime != nil {
		e.runtime <- e.current
		e.runtime = nil
	}
	for _, ext := range e.extensions {
		if ext.invoke && ext.next != nil {
			ext.next <- e.current
			ext.next = nil
		}
	}
}

// advance is called when somebody has begun to wait. When all do, the init or the invocation is over.
// e.mu is held.
func (e *environment) advance() {
	if !e.allWait() {
		return
	}
	switch e.state {
	case stateStarting:
		e.dispatch()
	case stateBusy:
		e.timer.Stop()
		e.report()
		if e.withheld != nil {
			e.current.answered <- *e.withheld
			e.withheld = nil
		}
		if e.current.life != nil {
			e.process.kill()
			return
		}
		e.state, e.current = stateFree, nil
		e.function.release(e)
	}
}

// await waits in place for the next invocation, nil if ctx ends before. e.mu is held when it is called, and not when it
// returns.
func (e *environment) await(ctx context.Context, place *chan *invocation) *invocation {
	next := make(chan *invocation, 1)
	*place = next
	e.advance()
	e.mu.Unlock()
	select {
	case inv := <-next:
		return inv
	case <-ctx.Done():
		e.mu.Lock()
		defer e.mu.Unlock()
		if *place == next {
			*place = nil
		}
		return nil
	}
}

func (e *environment) allWait() bool {
	for _, ext := range e.extensions {
		if ext.next == nil {
			return false
		}
	}
	return e.runtime != nil
}

// answer gives the caller of the invocation with this id its answer. False if that is not the current one, or it has
// its answer.
func (e *environment) answer(requestID string, a answer) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != stateBusy || e.current.requestID != requestID || e.answered {
		return false
	}
	e.answered = true
	e.watched.answered = time.Now()
	if e.function.config.AnswersLast {
		e.withheld = &a
		return true
	}
	e.function.settle(e)
	e.current.answered <- a
	return true
}

// crash kills the process if it is still at work on this invocation.
func (e *environment) crash(inv *invocation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == inv && e.state == stateBusy {
		e.process.kill()
	}
}

// limit ends the environment if what it begins now takes longer than timeout. e.mu is held.
func (e *environment) limit(timeout time.Duration) {
	if e.timer != nil {
		e.timer.Stop()
	}
	inv, state := e.current, e.state
	e.timer = time.AfterFunc(timeout, func() { e.expire(inv, state, timeout) })
}

// expire ends the environment, if it is still with this invocation and in this state, as Lambda does: with SIGKILL.
func (e *environment) expire(inv *invocation, state state, timeout time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current != inv || e.state != state {
		return
	}
	kind, message := TypeTimeout, timeoutMessage(timeout)
	if state == stateStarting {
		kind, message = TypeInit, fmt.Sprintf("Init timed out after %.2f seconds", timeout.Seconds())
	}
	e.logs.printf("%s %s %s", time.Now().UTC().Format(time.RFC3339), inv.requestID, message)
	e.end(requestError(kind, inv.requestID, message))
	e.process.kill()
}

// exited ends the environment after its process.
func (e *environment) exited(status string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state == stateEnded {
		return
	}
	kind, message := TypeExit, exitMessage(status)
	if e.state == stateStarting {
		kind = TypeInit
	}
	cause := platformError(kind, message)
	if e.current != nil {
		cause = requestError(kind, e.current.requestID, message)
	}
	e.logs.printf("%s %s", cause.Message, kind)
	e.end(cause)
}

// failInit ends the environment after its own report of what went wrong. The process is expected to exit; it is ended
// if it does not.
func (e *environment) failInit(cause *FunctionError) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != stateStarting {
		return false
	}
	e.end(cause)
	time.AfterFunc(ShutdownGrace, e.process.kill)
	return true
}

// shutdown ends the environment for Close, and waits until the process is gone.
func (e *environment) shutdown(ctx context.Context) {
	e.mu.Lock()
	e.end(ErrClosed)
	process := e.process
	e.mu.Unlock()
	if process != nil {
		process.stop(ctx)
	}
}

// end makes the environment unusable. An invocation that is not answered is answered with cause. Requests of the process
// that wait are left waiting until it is gone. e.mu is held.
func (e *environment) end(cause error) {
	if e.state == stateEnded {
		return
	}
	inv := e.current
	e.state, e.current = stateEnded, nil
	if e.timer != nil {
		e.timer.Stop()
	}
	e.function.remove(e) // before the caller knows, who may invoke again at once
	if inv != nil && (!e.answered || e.withheld != nil) {
		inv.answered <- answer{err: cause}
	}
}
