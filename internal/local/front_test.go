package local

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// Lobbies are opened at a rate, and what concerns those that are is not counted.
func TestLobbyRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := limited(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
		ask := func(method, query string) int {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, "/socket.io/?transport=polling"+query, http.NoBody))
			return w.Code
		}
		let := func() (n int) {
			for ask(http.MethodGet, "") == http.StatusOK {
				n++
			}
			return n
		}
		if n := let(); n != LobbyRate.Burst {
			t.Errorf("%d at once, want %d", n, LobbyRate.Burst)
		}
		for method, query := range map[string]string{http.MethodGet: "&sid=x", http.MethodPost: "&sid=x", http.MethodOptions: ""} {
			if status := ask(method, query); status != http.StatusOK {
				t.Errorf("%s %s: %d", method, query, status)
			}
		}
		time.Sleep(time.Second)
		if n := let(); n != LobbyRate.PerSecond {
			t.Errorf("%d a second later, want %d", n, LobbyRate.PerSecond)
		}
	})
}
