package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/need"
)

// example is a file for one machine, with what the test has in the place of what
// it says.
func example(t *testing.T, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "examples", "one-machine", name))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(string(text), replace[i]) {
			t.Fatalf("%s has no %q", name, replace[i])
		}
	}
	return strings.NewReplacer(replace...).Replace(string(text))
}

// write writes a file and returns its name.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// frontCertificate makes files with a certificate for localhost.
func frontCertificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, is, is, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = write(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return cert, write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}

// nginxInFront runs nginx, by the example, at an address before a server.
func nginxInFront(t *testing.T, dir, address, backend, cert, key string) *exec.Cmd {
	t.Helper()
	site := example(t, "nginx.conf", "listen 443 ssl", "listen "+address+" ssl", "http://127.0.0.1:8095", "http://"+backend,
		"/etc/ssl/signal.example.com/fullchain.pem", cert, "/etc/ssl/signal.example.com/privkey.pem", key)
	write(t, dir, "site.conf", site)
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // who may write into the test's folder
	}
	main := write(t, dir, "nginx.conf", user+`daemon off; pid `+dir+`/pid; error_log stderr; worker_processes 1;
events { worker_connections 1024; }
http { access_log off; client_body_temp_path `+dir+`; proxy_temp_path `+dir+`; fastcgi_temp_path `+dir+`; uwsgi_temp_path `+dir+`; scgi_temp_path `+dir+`; include site.conf; }
`)
	return exec.Command(need.Program(t, "nginx"), "-c", main, "-p", dir, "-e", "stderr")
}

// caddyInFront runs Caddy, by the example, at an address before a server.
func caddyInFront(t *testing.T, dir, address, backend, cert, key string) *exec.Cmd {
	t.Helper()
	_, port, _ := net.SplitHostPort(address)
	site := example(t, "Caddyfile", "signal.example.com {", "https://localhost:"+port+" {\n\tbind 127.0.0.1\n\ttls "+cert+" "+key, "127.0.0.1:8095\n}", backend+"\n}")
	file := write(t, dir, "Caddyfile", "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"+site)
	caddy := exec.Command(need.Program(t, "caddy"), "run", "--config", file, "--adapter", "caddyfile")
	caddy.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	return caddy
}

// TestProxies has real clients, of both beginnings, come through the proxies of the
// examples; to the limits each is where it really is, whatever it says of itself.
func TestProxies(t *testing.T) {
	for name, inFront := range map[string]func(t *testing.T, dir, address, backend, cert, key string) *exec.Cmd{"nginx": nginxInFront, "caddy": caddyInFront} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const perAddress = 100
			s := serve(t, "-trusted-proxies", "127.0.0.1", "-max-per-address", fmt.Sprint(perAddress), "-log", "warn")
			dir, address := t.TempDir(), freeAddress(t)
			cert, key := frontCertificate(t, dir)
			proxy := inFront(t, dir, address, strings.TrimPrefix(s.Plain, "http://"), cert, key)
			logs := &lockedBuffer{}
			proxy.Stdout, proxy.Stderr = logs, logs
			if err := proxy.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = proxy.Process.Signal(os.Interrupt)
				_ = proxy.Wait()
				if t.Failed() {
					t.Logf("%s", logs.Bytes())
				}
			})
			_, port, _ := net.SplitHostPort(address)
			awaitListener(t, address)

			ctx, cancel := context.WithTimeout(t.Context(), clientsWithin)
			defer cancel()
			env := []string{"SECURE_ENDPOINT=https://localhost:" + port + "/socket.io/", "ENDPOINT=https://localhost:" + port + "/socket.io/", "NODE_EXTRA_CA_CERTS=" + cert, "MESSAGES=50"}
			node(ctx, t, env, "clients/secure.test.mjs", "clients/takeover.test.mjs")
			node(ctx, t, append(env, "POLLING_FIRST=1"), "clients/secure.test.mjs")

			dial := func(from string) int {
				dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
				transport := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{ServerName: "localhost", InsecureSkipVerify: true}} // Node.js verifies it
				t.Cleanup(transport.CloseIdleConnections)
				conn, answer, err := websocket.Dial(ctx, "wss://"+address+"/prod", &websocket.DialOptions{
					Host: "localhost:" + port, HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"X-Forwarded-For": {"192.0.2.1"}},
				})
				if err == nil {
					t.Cleanup(func() { _ = conn.CloseNow() })
				}
				if answer == nil {
					t.Fatal(err)
				}
				return answer.StatusCode
			}
			for range perAddress {
				if status := dial("127.0.0.2"); status != http.StatusSwitchingProtocols {
					t.Fatalf("refused with %d", status)
				}
			}
			if status := dial("127.0.0.2"); status != http.StatusTooManyRequests {
				t.Errorf("one more of the same source: %d, want 429", status)
			}
			if status := dial("127.0.0.3"); status != http.StatusSwitchingProtocols {
				t.Errorf("of another source: %d, want 101", status)
			}
		})
	}
}

// TestUnit holds the unit to systemd: it is one, and shuts the service off from what
// it does not need.
func TestUnit(t *testing.T) {
	analyze := need.Program(t, "systemd-analyze")
	unit := write(t, t.TempDir(), "owt-signal.service", example(t, "owt-signal.service", "/usr/local/bin/owt-signal\n", binary+"\n"))
	for _, args := range [][]string{{"verify", unit}, {"security", "--offline=true", "--threshold=15", "--no-pager", unit}} {
		if out, err := exec.Command(analyze, args...).CombinedOutput(); err != nil {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}
