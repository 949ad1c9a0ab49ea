package costs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/capacity"
	"github.com/owt-signal/owt-signal/internal/limits"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
	"github.com/owt-signal/owt-signal/internal/sim"
)

// An attack by many on few environments, and two who talk meanwhile.
const (
	environments = 12 // MessageConcurrency
	attackers    = 100
	attackPause  = 5 * time.Second // each sends that often: 20 frames a second together
	talkPause    = 100 * time.Millisecond
	attackLasts  = 30 * time.Second
)

// worst is the nth frame of an attacker, by what he does. What begins with a name has
// a token; else he is a stranger.
var worst = map[string]func(n int) string{
	"held": func(n int) string { return fmt.Sprintf(`42%d["owt-message",{"to":"alice","data":1}]`, n) },
	"far": func(n int) string {
		return fmt.Sprintf(`42%d["owt-message",{"to":"alice","data":1}]`, signal.MaxNumber-int64(1000*n))
	},
	"joins":       func(int) string { return "40" },
	"presence":    func(int) string { return `{"type":"presence","user":"alice"}` },
	"user's gaps": func(n int) string { return fmt.Sprintf(`42%d["owt-message",{"to":"nobody","data":1}]`, 2*n+2) },
	"user's far gaps": func(n int) string {
		return fmt.Sprintf(`42%d["owt-message",{"to":"nobody","data":1}]`, 1000*n+1000)
	},
}

// attack is what came of one.
type attack struct {
	*bursts
	idle                chan *apigw.Handler // environments
	mu                  sync.Mutex
	sent, refused       map[string]int // frames, and those for which there was no environment, by who has sent them
	units               map[string]float64
	second              lane.Instant
	inSecond, mostInOne float64
	at                  map[string]int64 // when connections were opened
	strangers           []string
}

func newAttack(t *testing.T, bulkhead bool) *attack {
	a := &attack{
		bursts: newBursts(t), sent: make(map[string]int), refused: make(map[string]int), units: make(map[string]float64), at: make(map[string]int64),
	}
	a.limit.WriteUnits = capacity.WritesPerKey
	a.charged = a.charge
	s := a.handler.Service
	s.AuthenticateWithin = limits.DefaultAuthenticateWithin
	if bulkhead {
		s.PlaceStore, s.Places = s.Store.(signal.PlaceStore), signal.Places(environments)
	}
	return a
}

// charge notes units, by connection, and how many there are in the fullest second.
func (a *attack) charge(c capacity.Charge) {
	id := strings.Split(c.Key, "#")
	if len(id) > 1 && (id[0] == "conn" || id[0] == "held") {
		a.units[id[1]] += c.Units
	}
	if now := lane.At(time.Now()); now.Sub(a.second) >= time.Second {
		a.second, a.inSecond = now, 0
	}
	if a.inSecond += c.Units; a.inSecond > a.mostInOne {
		a.mostInOne = a.inSecond
	}
}

// open opens a connection; a user has it at once.
func (a *attack) open(id, user string) {
	a.since = time.Now().UnixMilli()
	a.mu.Lock()
	a.at[id] = a.since
	a.mu.Unlock()
	a.connect(id, "EIO=4&transport=websocket")
	a.frame(id, "40")
	if user != "" {
		a.frame(id, fmt.Sprintf(`420["authentication",{"token":"%s"}]`, user))
	}
}

// sends has a frame come in one of the environments, if there is one.
func (a *attack) sends(id, body string) {
	time.Sleep(a.takes(sim.InvokeTime))
	a.mu.Lock()
	a.sent[id]++
	at := a.at[id]
	a.mu.Unlock()
	var h *apigw.Handler
	select {
	case h = <-a.idle:
		defer func() { a.idle <- h }()
	default: // API Gateway's error frame
		a.mu.Lock()
		a.refused[id]++
		a.mu.Unlock()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, after := h.Message(ctx, &events.APIGatewayWebsocketProxyRequest{
		Body: body, RequestContext: events.APIGatewayWebsocketProxyRequestContext{ConnectionID: id, ConnectedAt: at},
	})
	if after != nil {
		after(ctx)
	}
}

// run has alice and bob talk while others attack. It returns how many messages of
// how many came.
func (a *attack) run() (came, of int) {
	synctest.Test(a.t, func(t *testing.T) {
		a.bursts.t = t
		a.idle = make(chan *apigw.Handler, environments)
		for range environments {
			h := a.handler
			a.idle <- &apigw.Handler{Service: h.Service, Protocols: h.Protocols, Endpoint: h.Endpoint, Idle: h.Idle, Log: h.Log}
		}
		a.open("alice", "alice")
		a.open("bob", "bob")
		kinds := slices.Sorted(maps.Keys(worst))
		for i := range attackers {
			kind := kinds[i%len(kinds)]
			id, user := fmt.Sprintf("%s-%d", strings.ReplaceAll(kind, " ", "-"), i), ""
			if strings.HasPrefix(kind, "user") {
				user = id
			} else {
				a.strangers = append(a.strangers, id)
			}
			a.open(id, user)
			go func() {
				time.Sleep(attackPause / attackers * time.Duration(i))
				for n := range int(attackLasts / attackPause) {
					go a.sends(id, worst[kind](n))
					time.Sleep(attackPause)
				}
			}()
		}
		a.did()
		a.bursts.mu.Lock()
		clear(a.units)
		a.bursts.mu.Unlock()
		for n := range int(attackLasts / talkPause) {
			of += 2
			go a.sends("alice", fmt.Sprintf(entrances["5"].send, n+1, fmt.Sprintf("to bob %d.", n)))
			go a.sends("bob", fmt.Sprintf(`42%d["owt-message",{"to":"alice","data":"to alice %d."}]`, n+1, n))
			time.Sleep(talkPause)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		said := strings.Join(a.frames, "\n")
		for n := range of / 2 {
			for _, to := range []string{"bob", "alice"} {
				if strings.Contains(said, fmt.Sprintf(`"to %s %d."`, to, n)) {
					came++
				}
			}
		}
	})
	return came, of
}

// TestAttackOnFewEnvironments: while others do their worst, with the limits of the
// template in force, two who talk keep 99 of 100 messages.
func TestAttackOnFewEnvironments(t *testing.T) {
	a := newAttack(t, true)
	came, of := a.run()
	units, frames := 0.0, 0
	for _, id := range a.strangers {
		units, frames = units+a.units[id], frames+a.sent[id]
	}
	lost := a.refused["alice"] + a.refused["bob"]
	t.Logf("%d of %d messages came, %d met no environment; %d frames of strangers cost %.1f units each; at most %.0f units in a second",
		came, of, lost, frames, units/float64(frames), a.mostInOne)
	if came*100 < of*99 || lost*100 > of {
		t.Errorf("%d of %d messages came, %d met no environment", came, of, lost)
	}
	if units > float64(maxStrangerUnits*frames) {
		t.Errorf("a frame of strangers costs %.1f units", units/float64(frames))
	}
	if most := limit(t, "TableWriteUnits"); a.mostInOne > most {
		t.Errorf("%.0f units in a second, the table has %.0f", a.mostInOne, most)
	}
}

// TestAttackWithoutPlaces: where any number may linger, they take all environments.
func TestAttackWithoutPlaces(t *testing.T) {
	if came, of := newAttack(t, false).run(); came*100 >= of*99 {
		t.Errorf("%d of %d messages came", came, of)
	}
}

// TestInvocationsThatWait: the docs say how many invocations gaps keep at most.
func TestInvocationsThatWait(t *testing.T) {
	keep := func(frames float64) (places int, free float64) {
		return signal.Places(-1), frames * signal.LingerFreely.Seconds()
	}
	places, free := keep(330)
	wantSays(t, "limits", fmt.Sprintf("330 frames a second that leave gaps keep %.0f invocations: %d at places, and %.0f that wait for %d ms",
		float64(places)+free, places, free, signal.LingerFreely.Milliseconds()))
	frames := limit(t, "ThrottlingRate")
	places, free = keep(frames)
	wantSays(t, "limits", fmt.Sprintf("%.0f, as many as `ThrottlingRate` lets through, keep %.0f", frames, float64(places)+free))
}
