package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/client"
)

// RestartVariable says how many clients [TestRestart] has.
const RestartVariable = "OWT_TEST_RESTART"

const (
	fewRestarted  = 200
	sideBySide    = 64               // handshakes, and messages, at a time
	restartWithin = 10 * time.Minute // only ends a hang
	back          = -1               // what users tell themselves
)

// TestRestart ends a server with many clients, as systemd does, and begins another at
// its address. All come back by themselves, one connection each, and can be sent to;
// what was acknowledged to them while the server ended has arrived. It tells how long
// that takes, and how many come in a second. With as many as a machine may hold:
//
//	make restart
func TestRestart(t *testing.T) {
	n := fewRestarted
	if v := os.Getenv(RestartVariable); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatalf("%s: %v", RestartVariable, err)
		}
	} else {
		t.Parallel()
	}
	address, admin := freeAddress(t), freeAddress(t)
	start := func() *server {
		return serve(t, "-plain", address, "-admin", admin, "-max-connections", strconv.Itoa(n), "-max-per-address", strconv.Itoa(n), "-log", "error")
	}
	first := start()
	ctx, cancel := context.WithTimeout(t.Context(), restartWithin)
	defer cancel()
	users := make([]*client.Client, n)
	each(n, func(i int) {
		c, err := client.Dial(ctx, "ws://"+address+"/prod", client.Options{Token: "user" + strconv.Itoa(i)})
		if err != nil {
			t.Errorf("user %d: %v", i, err)
			return
		}
		users[i] = c
	})
	defer func() { each(n, func(i int) { _ = users[i].Close() }) }()
	if t.Failed() {
		return
	}
	t.Logf("%d clients hold %.0f MB of the server", n, scraped(t, admin, "process_resident_memory_bytes")/(1<<20))

	sending := sendInRing(ctx, users, first.gone)
	time.Sleep(2 * time.Second)
	ends := time.Now()
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-first.gone
	t.Logf("the server has ended after %v", time.Since(ends).Round(time.Millisecond))
	returned := make([]time.Duration, n)
	var returning sync.WaitGroup
	for i := range n {
		returning.Go(func() {
			returned[i] = goesThrough(ctx, t, users[i], ends)
			sending.arrives(ctx, t, i)
		})
	}
	start()
	arrived := make(chan struct{})
	go func() { returning.Wait(); close(arrived) }()
	most := busiestSecond(t, admin, arrived)
	slices.Sort(returned)
	t.Logf("%d of %d messages were acknowledged while the server ended", sending.acks.Load(), sending.sent.Load())
	t.Logf("%d are back after it began to end: half of them after %v, all after %v; at most %.0f a second; refused for the limit of connections: %.0f",
		n, returned[n/2].Round(time.Millisecond), returned[n-1].Round(time.Millisecond), most, scraped(t, admin, `owt_signal_refused_total{limit="connections"}`))
	for scraped(t, admin, "owt_signal_connections") != float64(n) { // those that were given up have gone
		if ctx.Err() != nil {
			t.Fatalf("%v connections, want %d", scraped(t, admin, "owt_signal_connections"), n)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// goesThrough sends a user messages of its own until it is told that one is delivered. It
// returns when that was, since the server began to end.
func goesThrough(ctx context.Context, t *testing.T, c *client.Client, since time.Time) time.Duration {
	for ctx.Err() == nil && c.Send(ctx, c.User(), back) != nil {
		time.Sleep(100 * time.Millisecond) // its connection was lost once more, and the server did not know it
	}
	if ctx.Err() != nil {
		t.Errorf("%s does not come back", c.User())
	}
	return time.Since(since)
}

// busiestSecond is how many names were claimed in a second, at most, until done.
func busiestSecond(t *testing.T, admin string, done <-chan struct{}) (most float64) {
	t.Helper()
	at, before := time.Now(), 0.0
	for {
		ended := false
		select {
		case <-done:
			ended = true
		case <-time.After(time.Second):
		}
		now := scraped(t, admin, "owt_signal_claims_total")
		most = max(most, (now-before)/time.Since(at).Seconds())
		if ended {
			return most
		}
		at, before = time.Now(), now
	}
}

// each does something n times, some side by side.
func each(n int, do func(i int)) {
	var all sync.WaitGroup
	places := make(chan struct{}, sideBySide)
	for i := range n {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			do(i)
		})
	}
	all.Wait()
}

// scraped is the value of a metric.
func scraped(t *testing.T, admin, metric string) float64 {
	t.Helper()
	answer, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(metric) + ` (\S+)$`).FindSubmatch(body)
	if m == nil {
		t.Fatalf("no %s in %d bytes", metric, len(body))
	}
	var value float64
	if _, err := fmt.Sscan(string(m[1]), &value); err != nil {
		t.Fatal(err)
	}
	return value
}
