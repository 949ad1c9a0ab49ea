package local

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// ask makes a request and returns its answer, and the body.
func (s *running) ask(t *testing.T, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{}
	if strings.HasPrefix(url, "https:") {
		transport.TLSClientConfig = &tls.Config{RootCAs: poolOf(s.certificate(t)), MinVersion: tls.VersionTLS12}
	}
	t.Cleanup(transport.CloseIdleConnections)
	response, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// TestPageIsWhole follows every reference of the page, and of its modules.
func TestPageIsWhole(t *testing.T) {
	s := start(t, "-stage", "beta_2")
	reference := regexp.MustCompile(`(?:src|href)="(/[^"]+)"|from '\./([^']+)'`)
	for _, base := range []string{"http://" + s.plain, "https://" + s.secure} {
		seen := make(map[string]bool)
		for queue := []string{"/"}; len(queue) > 0; queue = queue[1:] {
			at := queue[0]
			if seen[at] {
				continue
			}
			seen[at] = true
			response, body := s.ask(t, http.MethodGet, base+at)
			if response.StatusCode != http.StatusOK {
				t.Errorf("%s%s: %s", base, at, response.Status)
			}
			for header, want := range map[string]string{
				"Content-Type": "", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; script-src 'self';",
			} {
				if got := response.Header.Get(header); got == "" || !strings.HasPrefix(got, want) {
					t.Errorf("%s%s: %s is %q, want %s…", base, at, header, got, want)
				}
			}
			for _, m := range reference.FindAllStringSubmatch(body, -1) {
				if m[1] != "" {
					queue = append(queue, m[1])
				} else {
					queue = append(queue, at[:strings.LastIndex(at, "/")+1]+m[2])
				}
			}
		}
		for _, file := range []string{"/.page/page.css", "/.page/main.js", "/.page/client/index.js", "/.page/client/channel.js"} {
			if !seen[file] {
				t.Errorf("the page does not use %s", file)
			}
		}
	}
	if _, body := s.ask(t, http.MethodGet, "http://"+s.plain); !strings.Contains(body, `data-stage="beta_2"`) ||
		!strings.Contains(body, `data-secure="`+s.secure[strings.LastIndex(s.secure, ":")+1:]+`"`) {
		t.Errorf("the page does not know where the server is: %s", body)
	}
	if response, body := s.ask(t, http.MethodHead, "http://"+s.plain); response.StatusCode != http.StatusOK || body != "" {
		t.Errorf("HEAD: %s, %q", response.Status, body)
	}
}

// TestOtherPathsAreTheGateways: the page takes nothing from it.
func TestOtherPathsAreTheGateways(t *testing.T) {
	s := start(t)
	for _, test := range []struct {
		method, path string
		status       int
		header       []string
	}{
		{http.MethodPost, "/", 403, nil},
		{http.MethodGet, "/", 403, []string{"Connection", "Upgrade", "Upgrade", "websocket"}},
		{http.MethodGet, "/index.html", 403, nil},
		{http.MethodGet, "/favicon.ico", 403, nil},
		{http.MethodGet, "//", 403, nil},
		{http.MethodGet, "/prod", 426, nil},
		{http.MethodGet, "/socket.io/?EIO=4&transport=websocket", 426, nil},
		{http.MethodGet, "/other?EIO=4&transport=polling", 403, nil},
		{http.MethodGet, "/.page/", 403, nil},
		{http.MethodGet, "/.page/index.html", 403, nil},
		{http.MethodGet, "/.page/none.js", 403, nil},
		{http.MethodGet, "/.page/..%2fpage.go", 403, nil},
		{http.MethodGet, "/.page/client/package.json", 403, nil},
		{http.MethodGet, "/.page/client/../main.js", 403, nil},
		{http.MethodPost, "/.page/main.js", 403, nil},
	} {
		response, body := s.ask(t, test.method, "http://"+s.plain+test.path, test.header...)
		if response.StatusCode != test.status || !strings.HasPrefix(body, `{"message":`) {
			t.Errorf("%s %s: %s, %.80s, want %d", test.method, test.path, response.Status, body, test.status)
		}
	}
	conn := s.dial(t, "ws://"+s.plain+"/prod?token=x")
	if got := next(t, conn); !strings.HasPrefix(got, `{"type":"open"`) {
		t.Errorf("a WebSocket: %s", got)
	}
	_ = conn.Close(websocket.StatusNormalClosure, "")
}
