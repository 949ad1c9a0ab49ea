package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
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
)

// TestRestart ends a server with many clients, as systemd does, and begins another at
// its address. All come back by themselves, one connection each, and can be sent to.
// It tells how long that takes, and how many come in a second. With as many as a
// machine may hold:
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

	ends := time.Now()
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-first.gone
	t.Logf("the server has ended after %v", time.Since(ends).Round(time.Millisecond))
	start()
	began := time.Now()
	most, back, counted, at := 0.0, 0.0, 0.0, began
	for back < float64(n) {
		if ctx.Err() != nil {
			t.Fatalf("%v of %d are back", back, n)
		}
		time.Sleep(50 * time.Millisecond)
		back = scraped(t, admin, "owt_signal_claims_total")
		if took := time.Since(at); took >= time.Second || back == float64(n) {
			most, counted, at = max(most, (back-counted)/took.Seconds()), back, time.Now()
		}
	}
	t.Logf("all %d are back %v after it began to end, %v after the next has begun; at most %.0f a second; refused for the limit of connections: %.0f",
		n, time.Since(ends).Round(time.Millisecond), time.Since(began).Round(time.Millisecond), most, scraped(t, admin, `owt_signal_refused_total{limit="connections"}`))

	var received atomic.Int64
	each(n, func(i int) {
		to := (i + 1) % n
		if err := users[i].Send(ctx, "user"+strconv.Itoa(to), i); err != nil {
			t.Errorf("user %d sends: %v", i, err)
		} else if m, err := users[to].Receive(ctx); err != nil || string(m.Data) != strconv.Itoa(i) {
			t.Errorf("user %d receives %s, %v", to, m.Data, err)
		} else {
			received.Add(1)
		}
	})
	if open := scraped(t, admin, "owt_signal_connections"); received.Load() != int64(n) || open != float64(n) {
		t.Errorf("%d received, %v connections, want %d", received.Load(), open, n)
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
	answer, err := http.Get("http://" + admin + "/metrics") //nolint:noctx // of this machine
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
