package faults

import (
	"net/http"
	"sync"
	"time"
)

// Management delays the requests of an @connections API, and throttles those
// that post, as [Faults.Connections] does for calls. Whoever asks has AWS's
// SDK, which gives up and tries again by itself.
func (f *Faults) Management(next http.Handler) http.Handler {
	if f == nil {
		return next
	}
	return f.late(&f.posts, f.spec.Delay, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && f.throttles.happens(f.spec.Throttle) {
			f.log.InfoContext(r.Context(), "post throttled", "path", r.URL.Path)
			throttle(w)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// throttle answers as API Gateway does past a limit (LimitExceededException in
// the model of ApiGatewayManagementApi).
func throttle(w http.ResponseWriter) {
	w.Header().Set("X-Amzn-Errortype", "LimitExceededException")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = w.Write([]byte(`{"message":"Too Many Requests"}`))
}

// StoreAPI delays the requests of a store's API, as [Faults.Store] does for
// calls.
func (f *Faults) StoreAPI(next http.Handler) http.Handler {
	if f == nil {
		return next
	}
	return f.late(&f.stores, f.spec.SlowStore, next)
}

// late delays each request by up to most, before it has its effect or after.
func (*Faults) late(delays *source, most time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before, after := delays.around(most)
		if sleep(r.Context(), before) != nil {
			return // who asked has gone
		}
		next.ServeHTTP(&lateAnswer{w, sync.OnceFunc(func() { _ = sleep(r.Context(), after) })}, r)
	})
}

// lateAnswer waits before an answer's first byte.
type lateAnswer struct {
	http.ResponseWriter
	wait func()
}

func (a *lateAnswer) WriteHeader(status int) {
	a.wait()
	a.ResponseWriter.WriteHeader(status)
}

func (a *lateAnswer) Write(p []byte) (int, error) {
	a.wait()
	return a.ResponseWriter.Write(p)
}
