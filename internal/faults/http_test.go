package faults_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/faults"
)

// visits is an HTTP service that remembers when it was asked.
type visits struct{ at []time.Time }

func (v *visits) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	v.at = append(v.at, time.Now())
	w.Header().Set("X-Answered", "yes")
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write([]byte("body"))
}

// answered is an answer with the time at which its first byte came.
type answered struct {
	*httptest.ResponseRecorder
	at time.Time
}

func (a *answered) WriteHeader(status int) {
	a.at = time.Now()
	a.ResponseRecorder.WriteHeader(status)
}

func ask(t *testing.T, h http.Handler, method string) *answered {
	t.Helper()
	w := &answered{ResponseRecorder: httptest.NewRecorder()}
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/prod/@connections/c", http.NoBody))
	return w
}

func TestRequestsAreDelayed(t *testing.T) {
	const most = 40 * time.Millisecond
	for name, wrap := range map[string]func(next http.Handler) http.Handler{
		"@connections": inject(faults.Spec{Delay: most, Seed: 1}).Management,
		"store":        inject(faults.Spec{SlowStore: most, Seed: 1}).StoreAPI,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &visits{}
				h := wrap(v)
				early, late := 0, 0
				for i := range 200 {
					start := time.Now()
					w := ask(t, h, http.MethodPost)
					if w.Code != http.StatusAccepted || w.Body.String() != "body" || w.Header().Get("X-Answered") != "yes" {
						t.Fatalf("answer %d %s", w.Code, w.Body)
					}
					if w.at.Sub(start) > most {
						t.Fatalf("took %v", w.at.Sub(start))
					}
					switch {
					case v.at[i].After(start):
						early++
					case w.at.After(start):
						late++
					}
				}
				if early < 60 || late < 60 {
					t.Errorf("of 200 requests %d had their effect later, and %d their answer", early, late)
				}
			})
		})
	}
}

func TestRequestsAreThrottled(t *testing.T) {
	v := &visits{}
	h := inject(faults.Spec{Throttle: 1}).Management(v)
	w := ask(t, h, http.MethodPost)
	if w.Code != http.StatusTooManyRequests || w.Header().Get("X-Amzn-Errortype") != "LimitExceededException" || len(v.at) != 0 {
		t.Errorf("post: %d %v, and %d came through", w.Code, w.Header(), len(v.at))
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if w := ask(t, h, method); w.Code != http.StatusAccepted {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

func TestNoFaultsInHTTP(t *testing.T) {
	v := &visits{}
	none := faults.New(nil, nil)
	if none.Management(v) != http.Handler(v) || none.StoreAPI(v) != http.Handler(v) {
		t.Error("something is in the path")
	}
}
