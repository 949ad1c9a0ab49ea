package apigw_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/signal"
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
		case <-time.After(5 * signal.PostWithin):
		}
	})
	began := time.Now()
	err := m.Post(t.Context(), endpoint, "id=", []byte("frame"))
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took < signal.PostWithin || took > 2*signal.PostWithin {
		t.Errorf("%v after %v", err, took)
	}
}

func TestManagementRequests(t *testing.T) {
	t.Parallel()
	var got []string
	m, endpoint := management(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.EscapedPath()+" "+string(body))
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusForbidden)
		}
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusGone)
		}
	})
	if err := m.Post(t.Context(), endpoint, "a/b=", []byte("frame")); err != nil {
		t.Errorf("post: %v", err)
	}
	if err := m.Delete(t.Context(), endpoint, "a/b="); err != nil {
		t.Errorf("delete of a connection that is gone: %v", err)
	}
	if len(got) != 2 || got[0] != "POST /prod/@connections/a%2Fb%3D frame" || got[1] != "DELETE /prod/@connections/a%2Fb%3D " {
		t.Errorf("requests %q", got)
	}
}

// management is the real client of a service that answers as handler does.
func management(t *testing.T, handler http.HandlerFunc) (m *apigw.Management, endpoint string) {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return apigw.NewManagement(awsenv.ConfigOr("us-east-1", "test")), server.URL + "/prod"
}
