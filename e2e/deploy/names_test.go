package deploy

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// names is a proxy that leads the names of AWS to the emulator, over HTTP/2 and
// TLS as AWS has them, so that functions make up their endpoints as if they were
// there. Other names it refuses.
type names struct {
	*httptest.Server
	authority string // the file of the certificate that signs for the names
	mu        sync.Mutex
	asked     map[string]bool
}

func startNames(t *testing.T, emulator string) *names {
	t.Helper()
	n := &names{asked: make(map[string]bool), authority: filepath.Join(t.TempDir(), "authority.pem")}
	sites := &connections{accepted: make(chan net.Conn)}
	server := &http.Server{
		Handler:   toEmulator(t, emulator, func(r *http.Request) string { return r.Host }),
		TLSConfig: &tls.Config{GetCertificate: n.signer(t)},
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // of functions that are ended
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.ServeTLS(sites, "", "")
	}()
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := strings.Cut(r.Host, ":")
		n.mu.Lock()
		n.asked[host] = true
		n.mu.Unlock()
		if r.Method != http.MethodConnect || !strings.HasSuffix(host, ".amazonaws.com") {
			http.Error(w, "not a name of AWS", http.StatusForbidden)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n"))
		sites.accepted <- bufferedConn{conn, buffered.Reader}
	}))
	t.Cleanup(func() {
		n.Close()
		_ = server.Close()
		<-served
	})
	return n
}

// hosts is the names that were asked for.
func (n *names) hosts() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.asked))
}

// signer makes an authority, and certificates of it for whatever name is asked for.
func (n *names) signer(t *testing.T) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "owt-signal tests"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		site := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{hello.ServerName},
			NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		}
		der, err := x509.CreateCertificate(rand.Reader, site, authority, &key.PublicKey, key)
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
	}
}

// toEmulator hands requests on to the emulator, for the host that is said.
func toEmulator(t *testing.T, emulator string, host func(*http.Request) string) http.Handler {
	t.Helper()
	target, err := url.Parse(emulator)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = host(r.In)
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // at the end, when the emulator is gone
	}
}

// front is a URL at which the emulator is that host: clients cannot resolve its name.
func (e *emulator) front(t *testing.T, host string) string {
	t.Helper()
	server := httptest.NewServer(toEmulator(t, e.URL, func(*http.Request) string { return host }))
	t.Cleanup(server.Close)
	return server.URL
}

// connections is a listener whose connections somebody else has accepted.
type connections struct {
	accepted chan net.Conn
	closed   sync.Once
}

func (c *connections) Accept() (net.Conn, error) {
	conn, ok := <-c.accepted
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (c *connections) Close() error {
	c.closed.Do(func() { close(c.accepted) })
	return nil
}

func (c *connections) Addr() net.Addr { return &net.TCPAddr{} }

// bufferedConn is a connection of which something has been read.
type bufferedConn struct {
	net.Conn
	reader *bufio.Reader
}

func (c bufferedConn) Read(p []byte) (int, error) { return c.reader.Read(p) }
