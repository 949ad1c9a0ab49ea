package auth_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/owt-signal/owt-signal/internal/auth"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// processes are so many that ask one issuer, by one clock, each with a jitter of
// its own.
type processes struct {
	t      *testing.T
	issuer *issuer
	at     *clock
	all    []signal.Authenticator
	token  string
}

const (
	environments = 12
	step         = 15 * time.Second
)

func newProcesses(t *testing.T) *processes {
	t.Helper()
	key := &signingKey{id: "k", private: private("P-256", 1)}
	p := &processes{t: t, issuer: newIssuer(t, key), at: &clock{now: time.Now()}}
	p.token = sign(t, "ES256", key.private, p.issuer.claims(jwt.MapClaims{"exp": time.Now().Add(24 * time.Hour).Unix()}), map[string]any{"kid": "k"})
	c := auth.NewConfig()
	c.Mode, c.KeySet = auth.ModeJWT, p.issuer.URL+"/keys"
	for seed := range uint64(environments) {
		a, err := auth.NewAt(t.Context(), c, p.at.time, rand.New(rand.NewPCG(seed, 0)).Float64, quiet)
		if err != nil {
			t.Fatal(err)
		}
		p.all = append(p.all, a)
	}
	return p
}

// run has a token come to each process once in a step, for so long, and returns
// how often the issuer was asked, and how often at most in one step.
func (p *processes) run(d, step time.Duration, want func(signal.Authenticator)) (asked, most int) {
	first := p.issuer.asked()
	for range d / step {
		before := p.issuer.asked()
		for _, a := range p.all {
			want(a)
		}
		most = max(most, p.issuer.asked()-before)
		p.at.pass(step)
	}
	return p.issuer.asked() - first, most
}

func (p *processes) served(a signal.Authenticator) { wantUser(p.t, a, p.token, "alice") }

func (p *processes) unavailable(a signal.Authenticator) { wantUnavailable(p.t, a, p.token) }

// refuse has the issuer answer so from now on.
func (p *processes) refuse(status int, retryAfter string) {
	p.issuer.answer(func(w http.ResponseWriter, _ *http.Request) bool {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		return true
	})
}

// TestProcessesOfAnIssuer: each process asks once, and then about every 14
// minutes, not all at once.
func TestProcessesOfAnIssuer(t *testing.T) {
	p := newProcesses(t)
	if asked, _ := p.run(13*time.Minute, step, p.served); asked != environments {
		t.Errorf("%d processes asked %d times at first", environments, asked)
	}
	asked, most := p.run(47*time.Minute, step, p.served)
	t.Logf("in the rest of the hour %d times, at most %d in 15 s", asked, most)
	if asked < 3*environments || asked > 4*environments || most > environments/2 {
		t.Errorf("%d processes asked %d times in the rest of the hour, %d of them within 15 s", environments, asked, most)
	}
}

// TestIssuerThatRefuses: while keys are known nobody is refused, and an issuer that
// cannot answer is asked ever more seldom, or when it says.
func TestIssuerThatRefuses(t *testing.T) {
	for _, test := range []struct {
		status       int
		retryAfter   string
		soon, inHour int // requests of a process at most: in 15 s, and in an hour
	}{
		{http.StatusTooManyRequests, "", 1, 16},
		{http.StatusServiceUnavailable, "", 1, 16},
		{http.StatusTooManyRequests, "1", 1, 16},        // no reason to ask sooner
		{http.StatusTooManyRequests, "120", 1, 14},      // 0, 2, 4, 6, 10 min, and so on
		{http.StatusTooManyRequests, "31536000", 1, 12}, // not for a year
	} {
		t.Run(fmt.Sprint(test.status, " ", test.retryAfter), func(t *testing.T) {
			p := newProcesses(t)
			p.run(step, step, p.served)
			p.at.pass(auth.Fresh)
			p.refuse(test.status, test.retryAfter)
			soon, _ := p.run(15*time.Second, time.Second, p.served)
			rest, _ := p.run(time.Hour-15*time.Second, step, p.served)
			t.Logf("%d processes asked %d times in 15 s, and %d in an hour", environments, soon, soon+rest)
			if soon < environments || soon > environments*test.soon || soon+rest > environments*test.inHour {
				t.Errorf("%d processes asked %d times in 15 s and %d in an hour, want %d and %d at most", environments, soon, soon+rest, environments*test.soon, environments*test.inHour)
			}
			p.issuer.answer(nil)
			if asked, _ := p.run(auth.MaxPause+auth.MaxPause/4+step, step, p.served); asked < environments {
				t.Errorf("once the issuer was back, %d of %d processes asked within the longest pause", asked, environments)
			}
		})
	}
}

// TestIssuerThatRefusesStrangers: while no keys are known, so that nobody is let
// in, it is asked sooner, and yet ever more seldom.
func TestIssuerThatRefusesStrangers(t *testing.T) {
	p := newProcesses(t)
	p.refuse(http.StatusTooManyRequests, "")
	asked, _ := p.run(15*time.Second, time.Second, p.unavailable)
	if asked > 2*environments {
		t.Errorf("%d processes asked %d times in 15 s", environments, asked)
	}
	if asked, _ = p.run(time.Hour, step, p.unavailable); asked > environments*int(time.Hour/auth.MaxUnknown) {
		t.Errorf("%d processes asked %d times in an hour", environments, asked)
	}
	p.issuer.answer(nil)
	p.at.pass(auth.MaxUnknown + auth.MaxUnknown/4)
	p.run(step, step, p.served)
}

func TestPauses(t *testing.T) {
	const s, m = time.Second, time.Minute
	for _, test := range []struct {
		failures   int
		known      bool
		retryAfter time.Duration
		jitter     float64
		want       time.Duration
	}{
		{1, true, 0, 0, 30 * s},
		{2, true, 0, 0, m},
		{4, true, 0, 0, 4 * m},
		{5, true, 0, 0, auth.MaxPause},
		{1000, true, 0, 0, auth.MaxPause},
		{1, true, 0, 1, 30*s + 7500*time.Millisecond},
		{1, true, 29 * s, 0, 30 * s},
		{1, true, 31 * s, 0, 31 * s},
		{1, true, time.Hour, 0, auth.MaxPause},
		{1, false, 0, 0, auth.AfterFailure},
		{3, false, 0, 0, 20 * s},
		{4, false, 0, 0, auth.MaxUnknown},
		{1000, false, 0, 0, auth.MaxUnknown},
		{1, false, time.Hour, 0, auth.MaxUnknown},
		{1, false, 20 * s, 0.5, 22*s + 500*time.Millisecond},
	} {
		if got := auth.Pause(test.failures, test.known, test.retryAfter, test.jitter); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	const date, later = "Sat, 28 Nov 2026 19:00:00 GMT", "Sat, 28 Nov 2026 19:02:00 GMT"
	for _, test := range []struct {
		date, said string
		want       time.Duration
	}{
		{"", "", 0},
		{"", "7", 7 * time.Second},
		{"", "300", auth.MaxPause},
		{"", "301", auth.MaxPause},
		{"", "9223372036854775807", auth.MaxPause},
		{"", "9223372036854775808", 0},
		{"", "-1", 0},
		{"", "soon", 0},
		{date, later, 2 * time.Minute},
		{later, date, 0},
		{"", later, 0},
		{date, "Sun, 28 Nov 2027 19:00:00 GMT", auth.MaxPause},
	} {
		h := http.Header{"Date": {test.date}, "Retry-After": {test.said}}
		if got := auth.RetryAfter(h); got != test.want {
			t.Errorf("%q at %q: %v, want %v", test.said, test.date, got, test.want)
		}
	}
}
