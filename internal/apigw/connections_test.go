package apigw_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// TestPostIsSentOnce: what may have been accepted is not sent again, and what
// was throttled is.
func TestPostIsSentOnce(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header string
		err    error // nil: some error
		tries  int64
	}{
		"gone":                  {http.StatusGone, "GoneException", signal.ErrGone, 1},
		"gone, without a name":  {http.StatusGone, "", signal.ErrGone, 1},
		"too large":             {http.StatusRequestEntityTooLarge, "PayloadTooLargeException", signal.ErrTooLarge, 1},
		"throttled":             {http.StatusTooManyRequests, "LimitExceededException", signal.ErrBusy, 3},
		"server fault":          {http.StatusInternalServerError, "", nil, 1},
		"unavailable":           {http.StatusServiceUnavailable, "", nil, 1},
		"gateway timed out":     {http.StatusGatewayTimeout, "", nil, 1},
		"forbidden":             {http.StatusForbidden, "ForbiddenException", nil, 1},
		"connection id refused": {http.StatusBadRequest, "BadRequestException", nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tries atomic.Int64
			m, endpoint := management(t, func(w http.ResponseWriter, _ *http.Request) {
				tries.Add(1)
				if c.header != "" {
					w.Header().Set("X-Amzn-ErrorType", c.header)
				}
				w.WriteHeader(c.status)
			})
			err := m.Post(t.Context(), endpoint, "id=", []byte("frame"))
			if err == nil || c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("post: %v", err)
			}
			if tries.Load() != c.tries {
				t.Errorf("%d requests, want %d", tries.Load(), c.tries)
			}
		})
	}
}

// TestPostToAHalfOpenConnection: a post that hangs is given up in time.
func TestPostToAHalfOpenConnection(t *testing.T) {
	t.Parallel()
	m, endpoint := management(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		select {
		case <-r.Context().Done():
		case <-time.After(5 * lane.PostWithin):
		}
	})
	began := time.Now()
	err := m.Post(t.Context(), endpoint, "id=", []byte("frame"))
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took < lane.PostWithin {
		t.Errorf("%v after %v", err, took)
	}
}

// TestConnectionsAreKept: of as many requests as keepalive makes at a time, few
// open a connection if there is one. With the SDK's own setting, nearly all do.
func TestConnectionsAreKept(t *testing.T) {
	const posts = signal.PingsAtOnce / 2
	const together = 200 * time.Millisecond // that all are under way, well within lane.PostWithin
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(together) }))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	m := apigw.NewManagement(awsenv.ConfigOr("us-east-1", "test"))
	var failed atomic.Int64
	for range 3 {
		var wave sync.WaitGroup
		for range posts {
			wave.Go(func() {
				if err := m.Post(t.Context(), server.URL+"/prod", "id=", []byte("2")); err != nil {
					failed.Add(1) // on a machine under load; it closes the connection
				}
			})
		}
		wave.Wait()
	}
	t.Logf("%d connections were opened for %d posts at a time, %d of which failed", opened.Load(), posts, failed.Load())
	if opened.Load() > posts*3/2+failed.Load() {
		t.Error("connections are not kept")
	}
}

// TestGet: there is a connection, there is none, or this is not known.
func TestGet(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{
		http.StatusOK:                  nil,
		http.StatusGone:                signal.ErrGone,
		http.StatusTooManyRequests:     signal.ErrBusy,
		http.StatusInternalServerError: errUnknown,
		http.StatusForbidden:           errUnknown,
	} {
		m, endpoint := management(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{}`))
		})
		err := m.Get(t.Context(), endpoint, "id=")
		if errors.Is(want, errUnknown) && err != nil && !errors.Is(err, signal.ErrGone) {
			continue
		}
		if !errors.Is(err, want) {
			t.Errorf("status %d: %v, want %v", status, err, want)
		}
	}
}

var errUnknown = errors.New("any other error")

func TestManagementRequests(t *testing.T) {
	t.Parallel()
	var got []string
	m, endpoint := management(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.EscapedPath()+" "+string(body))
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusForbidden)
		}
		switch r.Method {
		case http.MethodDelete:
			w.WriteHeader(http.StatusGone)
		case http.MethodGet:
			_, _ = w.Write([]byte(`{"connectedAt":"2026-01-02T03:04:05.678Z","identity":{"sourceIp":"192.0.2.1","userAgent":"test"},"lastActiveAt":"2026-01-02T03:05:06.789Z"}`))
		}
	})
	if err := m.Post(t.Context(), endpoint, "a/b=", []byte("frame")); err != nil {
		t.Errorf("post: %v", err)
	}
	if err := m.Delete(t.Context(), endpoint, "a/b="); err != nil {
		t.Errorf("delete of a connection that is gone: %v", err)
	}
	if err := m.Get(t.Context(), endpoint, "a/b="); err != nil {
		t.Errorf("get: %v", err)
	}
	want := []string{"POST /prod/@connections/a%2Fb%3D frame", "DELETE /prod/@connections/a%2Fb%3D ", "GET /prod/@connections/a%2Fb%3D "}
	if !slices.Equal(got, want) {
		t.Errorf("requests %q", got)
	}
}

// management is the real client of a service that answers as handler does.
func management(t *testing.T, handler http.HandlerFunc) (m *apigw.Management, endpoint string) {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return apigw.NewManagement(awsenv.ConfigOr("us-east-1", "test")), server.URL + "/prod"
}
