package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// TestNumbersAtRandom: a client draws its ack ids from 0 to 998, as rust_socketio does,
// and does not say so. Of the messages under one id as many are acked as are delivered,
// and all others are told an error.
func TestNumbersAtRandom(t *testing.T) {
	s := serve(t, "-log", "warn")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, strings.Replace(s.Plain, "http", "ws", 1)+"/socket.io/?EIO=4&transport=websocket&token=alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	c := atRandom{t, ctx, conn, make(map[int]int), make(map[int]int), make(map[int]int), 0}
	c.say("40")
	for frame := ""; !strings.HasPrefix(frame, `42["server-authenticated"`); {
		frame = c.read()
	}

	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		c.send(random.IntN(999))
	}
	c.settle(300)
	ids, before := c.delivered(), len(c.came)
	if before == 0 {
		t.Fatal("nothing was delivered")
	}
	for _, id := range ids {
		c.send(id)
	}
	c.settle(300 + len(ids))
	if len(c.came) != before {
		t.Errorf("%d messages came under ids that others had had", len(c.came)-before)
	}
}

// atRandom is that client. It counts by id what it has sent, and what was acked, and
// by message what came: each is for itself.
type atRandom struct {
	*testing.T
	ctx     context.Context //nolint:containedctx // of the test
	conn    *websocket.Conn
	ids     map[int]int // of the messages
	acked   map[int]int
	came    map[int]int
	answers int
}

func (c *atRandom) say(frame string) {
	if err := c.conn.Write(c.ctx, websocket.MessageText, []byte(frame)); err != nil {
		c.Fatal(err)
	}
}

func (c *atRandom) read() string {
	_, frame, err := c.conn.Read(c.ctx)
	if err != nil {
		c.Fatalf("after %d answers: %v", c.answers, err)
	}
	return string(frame)
}

func (c *atRandom) send(id int) {
	message := len(c.ids)
	c.ids[message] = id
	c.say(fmt.Sprintf(`42%d["owt-message",{"to":"alice","data":%d}]`, id, message))
}

var answer = regexp.MustCompile(`^43(\d+)\[(\d*)\]$`)

// settle reads until so many answers have come.
func (c *atRandom) settle(answers int) {
	for c.answers < answers {
		frame := c.read()
		var id int
		var delivery [2]json.RawMessage
		var message struct{ Data int }
		switch m := answer.FindStringSubmatch(frame); {
		case m != nil:
			_, _ = fmt.Sscan(m[1], &id)
			if c.answers++; m[2] == "" {
				c.acked[id]++
			}
		case strings.HasPrefix(frame, `42["owt-message"`):
			if json.Unmarshal([]byte(frame[2:]), &delivery) != nil || json.Unmarshal(delivery[1], &message) != nil {
				c.Fatalf("not a message: %s", frame)
			}
			c.came[message.Data]++
		case frame == "2":
			c.say("3")
		}
	}
	came := make(map[int]int) // by id
	for message, times := range c.came {
		if came[c.ids[message]] += times; times != 1 {
			c.Errorf("message %d came %d times", message, times)
		}
	}
	for id := range 999 {
		if came[id] != c.acked[id] {
			c.Errorf("of the messages under %d %d came, and %d were acked", id, came[id], c.acked[id])
		}
	}
}

// delivered returns the ids of the messages that came.
func (c *atRandom) delivered() (ids []int) {
	for message := range c.came {
		ids = append(ids, c.ids[message])
	}
	return ids
}
