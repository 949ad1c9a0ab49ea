package local

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProgramsOnly(t *testing.T) {
	served := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, test := range []struct {
		name, address, host string
		header              [2]string
		want                int
	}{
		{"by address", "127.0.0.1:0", "127.0.0.1:8001", [2]string{}, 204},
		{"by another address", "127.0.0.1:0", "172.17.0.1:8001", [2]string{}, 204},
		{"by IPv6", "[::1]:0", "[::1]:8001", [2]string{}, 204},
		{"by name", "127.0.0.1:0", "LocalHost:8001", [2]string{}, 204},
		{"by name, the port of http", "127.0.0.1:0", "localhost", [2]string{}, 204},
		{"from a container", "172.17.0.1:8001", "host.docker.internal:8001", [2]string{}, 204},
		{"by the name that is listened on", "box.example:8001", "box.example:8001", [2]string{}, 204},
		{"rebound", "127.0.0.1:0", "evil.example:8001", [2]string{}, 403},
		{"rebound, and like an address", "127.0.0.1:0", "127.0.0.1.evil.example", [2]string{}, 403},
		{"rebound, and like a name", "127.0.0.1:0", "localhost.evil.example", [2]string{}, 403},
		{"no host", "127.0.0.1:0", "", [2]string{}, 403},
		{"no host is listened on", ":0", "", [2]string{}, 403},
		{"from a page", "127.0.0.1:0", "127.0.0.1:8001", [2]string{"Origin", "https://evil.example"}, 403},
		{"from a page of its own", "127.0.0.1:0", "127.0.0.1:8001", [2]string{"Origin", "http://127.0.0.1:8001"}, 403},
		{"from a file", "127.0.0.1:0", "127.0.0.1:8001", [2]string{"Origin", "null"}, 403},
		{"an image of a page", "127.0.0.1:0", "127.0.0.1:8001", [2]string{"Sec-Fetch-Site", "cross-site"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/prod/@connections/x", http.NoBody)
			r.Host = test.host
			if test.header[0] != "" {
				r.Header.Set(test.header[0], test.header[1])
			}
			w := httptest.NewRecorder()
			programsOnly(test.address, served).ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("answered %d, want %d", w.Code, test.want)
			}
		})
	}
}
