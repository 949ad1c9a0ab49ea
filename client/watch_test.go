//go:build go1.25

package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

// onStage plays with a client that is welcome, and a server that knows what the test
// has it say.
func onStage(t *testing.T, welcome string, play func(g *stage)) {
	synctest.Test(t, func(t *testing.T) {
		g := scenario{}.stage(t)
		g.do(step{Connect: true})
		synctest.Wait()
		g.welcome(welcome)
		g.told = map[string]any{}
		play(g)
	})
}

func (g *stage) welcome(members string) {
	g.do(step{Welcome: json.RawMessage(members)})
	synctest.Wait()
}

func (g *stage) says(frame string, values ...any) {
	g.do(step{Says: []json.RawMessage{json.RawMessage(fmt.Sprintf(frame, values...))}})
	synctest.Wait()
}

// sent compares what the client has sent on its newest connection.
func (g *stage) sent(frames ...string) {
	g.t.Helper()
	synctest.Wait()
	var want []any
	for _, f := range frames {
		var frame any
		if err := json.Unmarshal([]byte(f), &frame); err != nil {
			g.t.Fatal(err)
		}
		want = append(want, frame)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.dials[len(g.dials)-1]
	if !reflect.DeepEqual(d.sent, want) {
		g.t.Errorf("sent %v, want %v", d.sent, want)
	}
	d.sent = nil
}

// looker notes what it sees of a user.
type looker struct {
	g    *stage
	stop context.CancelFunc
	seen []string
}

func (g *stage) look(user string) *looker {
	ctx, stop := context.WithCancel(context.Background())
	l := &looker{g: g, stop: stop}
	g.t.Cleanup(stop)
	go func() {
		for online, err := range g.c.Watch(ctx, user) {
			if e := (*Error)(nil); errors.As(err, &e) {
				l.seen = append(l.seen, fmt.Sprint(int(e.Code)))
			} else if err != nil {
				l.seen = append(l.seen, errors.Unwrap(err).Error())
			} else {
				l.seen = append(l.seen, fmt.Sprint(online))
			}
		}
	}()
	synctest.Wait()
	return l
}

func (l *looker) expect(seen ...string) {
	l.g.t.Helper()
	synctest.Wait()
	if !reflect.DeepEqual(l.seen, seen) {
		l.g.t.Errorf("saw %v, want %v", l.seen, seen)
	}
	l.seen = nil
}

const (
	watches   = `{"maxWatched": 64}`
	watchBob  = `{"type":"watch","user":"bob"}`
	bobIs     = `{"type":"presence","user":"bob","online":%t,"watched":true,"at":%d}`
	unwatched = `{"type":"presence","user":"bob","watched":false}`
)

// Whoever watches sees how things are, and each change, once and in order; the server
// is asked once for all, and told when nobody watches any more.
func TestWatch(t *testing.T) {
	onStage(t, watches, func(g *stage) {
		first := g.look("bob")
		g.sent(watchBob)
		first.expect()
		g.says(bobIs, false, 5)
		first.expect("false")
		second := g.look("bob")
		second.expect("false")
		g.sent()
		g.says(bobIs, true, 6)
		g.says(bobIs, false, 6)
		g.says(bobIs, false, 4)
		g.says(`{"type":"presence","user":"bob","online":false}`) // to a question
		first.expect("true")
		second.expect("true")
		first.stop()
		first.expect("context canceled")
		g.sent()
		second.stop()
		second.expect("context canceled")
		g.sent(`{"type":"unwatch","user":"bob"}`)
		g.says(unwatched)
		g.says(bobIs, false, 7)
		g.look("bob").expect()
		g.sent(watchBob)
	})
}

// A watch outlasts connections, and is asked for until it is answered.
func TestWatchGoesOn(t *testing.T) {
	onStage(t, watches, func(g *stage) {
		l := g.look("bob")
		g.sent(watchBob)
		g.says(bobIs, true, 5)
		l.expect("true")
		g.do(step{Lost: 1})
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		g.welcome(watches)
		g.sent(watchBob)
		g.says(bobIs, true, 5)
		l.expect()
		g.says(bobIs, false, 7)
		g.says(bobIs, true, 6)
		l.expect("false")
		g.do(step{Lost: 2})
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		g.welcome(watches)
		g.sent(watchBob)
		for _, wait := range []time.Duration{2, 4, 8, 16, 16} {
			for range wait * 4 { // the server is alive
				time.Sleep(time.Second / 4)
				g.says(`{"type":"nothing"}`)
			}
			g.sent(watchBob)
		}
		g.says(bobIs, true, 8)
		l.expect("true")
		time.Sleep(50 * time.Second)
		g.sent()
		_ = g.c.Close()
		l.expect(ErrClosed.Error())
	})
}

func TestWatchIsRefused(t *testing.T) {
	onStage(t, watches, func(g *stage) {
		l, other := g.look("bob"), g.look("carol")
		g.says(`{"type":"error","code":2102,"message":"x","user":"bob"}`)
		l.expect("2102")
		other.expect()
		g.sent(watchBob, `{"type":"watch","user":"carol"}`)
		g.look("").expect("the user's name is empty")
		g.do(step{Lost: 1})
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		g.welcome(`{}`) // of an older server
		other.expect("2103")
		g.sent()
	})
}

// Slow lookers see the latest.
func TestWatchSlowly(t *testing.T) {
	onStage(t, watches, func(g *stage) {
		go func() {
			for online := range g.c.Watch(context.Background(), "bob") {
				g.add("bob", online)
				time.Sleep(time.Second)
			}
		}()
		synctest.Wait()
		for at := range int64(10) {
			g.says(bobIs, at%2 == 0, at)
		}
		time.Sleep(10 * time.Second)
		g.expect(step{Told: map[string]any{"bob": []any{true, false}}}, false)
		g.sent(watchBob)
	})
}

// ICE servers are as the welcome says, or an answer, while their credentials are young.
func TestIceServers(t *testing.T) {
	const ask = `{"type":"ice"}`
	servers := func(name string) string {
		return fmt.Sprintf(`"iceServers":[{"urls":["turn:x"],"username":%q,"credential":"c"}],"iceExpires":60`, name)
	}
	onStage(t, "{"+servers("first")+"}", func(g *stage) {
		got := make(chan string, 10)
		look := func() {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				all, err := g.c.IceServers(ctx)
				if err != nil || len(all) != 1 {
					got <- fmt.Sprint(all, err)
					return
				}
				got <- all[0].Username
			}()
			synctest.Wait()
		}
		expect := func(name string, frames ...string) {
			g.t.Helper()
			if have := <-got; have != name {
				g.t.Errorf("got %s, want %s", have, name)
			}
			g.sent(frames...)
		}
		time.Sleep(29 * time.Second)
		look()
		expect("first")
		time.Sleep(time.Second)
		look()
		g.says(`{"type":"ice",%s}`, servers("second"))
		expect("second", ask)
		look()
		expect("second")
		time.Sleep(31 * time.Second)
		look() // and there is no answer
		time.Sleep(2 * time.Second)
		expect("second", ask)
		g.says(`{"type":"nothing"}`)
		time.Sleep(27 * time.Second)
		g.says(`{"type":"nothing"}`)
		look() // which are not good any more
		time.Sleep(2 * time.Second)
		g.sent(ask, ask)
		g.do(step{Lost: 1})
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		g.welcome("{" + servers("third") + "}")
		expect("third")
		g.do(step{Lost: 2})
		synctest.Wait()
		look() // there is no connection
		expect("third")
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		g.welcome("{}")
		look()
		expect("[] <nil>")
	})
}
