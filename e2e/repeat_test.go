package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// twice is faults by which most invocations run twice, at different times.
const twice = "delay=20ms,duplicate=0.7,slow-store=5ms"

// TestRepeatsAtATakeover has a user send, also again, while another connection
// takes the name over. Nothing is told as not posted that arrives, and nothing
// arrives twice.
func TestRepeatsAtATakeover(t *testing.T) {
	const rounds, messages, window = 40, 12, 60 * time.Millisecond
	s := serve(t, "-log", "error", "-faults", twice)
	var all sync.WaitGroup
	for round := range rounds {
		all.Go(func() {
			var d dialect = plainJSON{}
			if round%2 == 0 {
				d = socketIO(4)
			}
			name := fmt.Sprintf("taken%d", round)
			bob, old := join(t, s, plainJSON{}, "of-"+name), &user{dialGood(t, s.Plain, d.path(name)), d, name, 0}
			enterTwice(t, old)
			answers := make(chan map[int][]int)
			go func() { answers <- codesOf(old) }()
			for try := range 2 {
				for i := range messages {
					_ = old.socket.(goodSocket).Write(t.Context(), websocket.MessageText, []byte(old.message(i+1, bob.name, strconv.Itoa(i+1))))
					time.Sleep(window / messages / 2)
					if try == 0 && i == round%messages {
						all.Go(func() { join(t, s, plainJSON{}, name) })
					}
				}
			}
			codes, came := <-answers, countsOf(bob)
			for n := 1; n <= messages; n++ {
				if came[n] > 1 {
					t.Errorf("%s: %d came %d times", name, n, came[n])
				}
				for _, code := range codes[n] {
					if came[n] > 0 && notPosted[code] || came[n] == 0 && code == 0 {
						t.Errorf("%s: %d came %d times, and was answered %v", name, n, came[n], codes[n])
					}
				}
			}
		})
	}
	all.Wait()
}

// enterTwice is [dialect.enter] where answers come twice, in any order.
func enterTwice(t *testing.T, u *user) {
	t.Helper()
	v, ok := u.dialect.(socketIO)
	if ok {
		u.send(t, "40")
		u.send(t, fmt.Sprintf(`420["authentication",{"token":%q}]`, u.name))
	}
	for {
		message, err := u.next()
		switch {
		case err != nil:
			t.Fatalf("%s, %d: %v", u.name, v, err)
		case strings.HasPrefix(message, "430["), strings.HasPrefix(message, `{"type":"welcome"`):
			return
		}
	}
}

// codesOf reads how a user's numbers are answered, until its connection ends.
func codesOf(u *user) map[int][]int {
	codes := make(map[int][]int)
	for {
		message, err := u.next()
		if err != nil {
			return codes
		}
		if id, code, ok := u.answered(message); ok {
			codes[id] = append(codes[id], code)
		}
	}
}

// countsOf reads how often each of the numbers has come to a user that are the
// data of its messages, until none has for a while.
func countsOf(u *user) map[int]int {
	const quiet = 500 * time.Millisecond
	came := make(map[int]int)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), quiet)
		_, b, err := u.socket.(goodSocket).Read(ctx)
		cancel()
		if err != nil {
			return came
		}
		if n := numberIn(string(b)); n > 0 {
			came[n]++
		}
	}
}

// numberIn returns the number that is the data of a JSON client's message; 0 if
// that is something else.
func numberIn(message string) int {
	var m struct{ Data int }
	_ = json.Unmarshal([]byte(message), &m)
	return m.Data
}

// TestCutBeforeTheWelcome has a session send before it is welcome, and lose that
// connection: what was delivered by it is not delivered again.
func TestCutBeforeTheWelcome(t *testing.T) {
	s := serve(t, "-log", "error")
	for round := range 10 {
		name := fmt.Sprintf("cut%d", round)
		bob := join(t, s, plainJSON{}, "of-"+name)
		resume := ""
		for n := 1; n <= 4; n++ {
			c := dialGood(t, s.Plain, plainJSON{}.path(name)+"&session=s&first=1&resume="+resume)
			if n > 1 {
				c.send(t, plainJSON{}.message(n-1, bob.name, strconv.Itoa(n-1))) // again
			}
			c.send(t, plainJSON{}.message(n, bob.name, strconv.Itoa(n)))
			if n == 1 {
				resume = welcomed(t, c)
			}
			if message, err := bob.next(); err != nil || numberIn(message) != n { // it has come, which from 2 on the client does not know
				t.Fatalf("%s: got %s, %v, want %d", name, message, err, n)
			}
			_ = c.CloseNow()
		}
		last := dialGood(t, s.Plain, plainJSON{}.path(name)+"&session=s&first=1&resume="+resume)
		welcomed(t, last)
		for n := 1; n <= 5; n++ {
			last.send(t, plainJSON{}.message(n, bob.name, strconv.Itoa(n)))
		}
		if came := countsOf(bob); len(came) != 1 || came[5] != 1 {
			t.Errorf("%s: what had come, came again: %v", name, came)
		}
	}
}

// welcomed reads until a session is welcome, and returns its connection.
func welcomed(t *testing.T, c goodSocket) (connection string) {
	t.Helper()
	for {
		message, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		var said struct{ Type, Connection string }
		if err := json.Unmarshal([]byte(message), &said); err != nil {
			t.Fatal(err)
		}
		switch said.Type {
		case "open":
			connection = said.Connection
		case "welcome":
			return connection
		}
	}
}
