package gateway

import (
	"fmt"
	"io"
	"runtime"

	"github.com/aws/aws-lambda-go/events"
)

// maxIdleHands is how many goroutines wait for work at most.
const maxIdleHands = 16

// hands are goroutines that invoke functions in place (Config.Inline). They have the large stacks and buffers that it
// takes, so that the goroutine of each connection, which only waits for messages, can do with small ones.
type hands struct {
	work chan *connection // taken by whoever is idle
	idle chan struct{}    // an element for each that is
}

func newHands() hands {
	return hands{work: make(chan *connection), idle: make(chan struct{}, maxIdleHands)}
}

// handle has the connection's message, and those that have come behind it, handled. Its error is that of receive.
func (g *Gateway) handle(c *connection, message io.Reader) error {
	c.message = message
	select {
	case g.hands.work <- c:
	default:
		go g.lendHand(c)
	}
	return <-c.handled
}

// lendHand handles the messages of one connection after the other.
func (g *Gateway) lendHand(c *connection) {
	ahead := make([]byte, readAhead)
	for {
		c.lend(ahead)
		many, err := c.handleAll()
		if !c.recall() {
			ahead = make([]byte, readAhead)
		}
		c.letGo()
		// Those who write what was posted go first: the scheduler would prefer the goroutine that is woken here, and the
		// one that it wakes in turn, for the rest of their time slice.
		if many {
			runtime.Gosched()
		}
		c.handled <- err
		select {
		case g.hands.idle <- struct{}{}:
		default:
			return // there are enough
		}
		select {
		case c = <-g.hands.work:
			<-g.hands.idle
		case <-g.base.Done():
			return
		}
	}
}

// handleAll handles the connection's message, and those that have been read with it. It tells whether they were many.
func (c *connection) handleAll() (many bool, err error) {
	for message := c.message; ; many = true {
		body, err := c.receive(message)
		if err != nil {
			return many, err
		}
		c.take(body)
		if !c.pending() {
			c.message = nil
			return many, nil
		}
		if message, err = c.await(); err != nil {
			return many, err
		}
	}
}

// lend gives the connection a buffer to read ahead into, and has what is sent to it meanwhile, its answers above all,
// wait for letGo.
func (c *connection) lend(ahead []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue.held = true
	if !c.ended {
		c.wire.ahead = ahead
	}
}

// recall takes the buffer back. It reports false if the connection has ended: then another goroutine may be reading up
// to the client's close frame, and keeps it.
func (c *connection) recall() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.wire.readNoFurther()
	return true
}

// pending tells whether something has been read already of what follows. Of a connection that has ended it is not for
// the hand to know.
func (c *connection) pending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.ended && c.wire.buffered() > 0
}

// invokeInline calls function and returns what it does, if that was by its deadline.
func (g *Gateway) invokeInline(function Function, event *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
	ctx := withDeadline(g.base, g.config.IntegrationTimeout)
	defer ctx.release()
	response, err := call(ctx, function, event)
	if late := ctx.Err(); err == nil && late != nil {
		err = fmt.Errorf("invoke %s: %w", event.RequestContext.RouteKey, late)
	}
	g.logFailure(event, err)
	return response, err
}
