package local

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// certificateLife is how long a certificate made at start is valid.
const certificateLife = 30 * 24 * time.Hour

// lookEvery is how often the files of a certificate are looked at, at most, when
// clients come.
const lookEvery = time.Second

// certificate is what is shown to clients: one that is made at start, or one from
// files, which is read again when they have changed. It is safe for concurrent use.
type certificate struct {
	cert, key string // files; empty: it was made
	log       *slog.Logger

	mu     sync.Mutex
	shown  *tls.Certificate
	read   [2]os.FileInfo // what the files were when they were read last
	looked time.Time
}

// newCertificate loads the certificate from files, or makes one.
func newCertificate(o options, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: o.cert, key: o.key, log: log}
	if c.cert == "" {
		host, _, _ := net.SplitHostPort(o.secure)
		made, err := makeCertificate(host, time.Now())
		c.shown = &made
		return c, err
	}
	c.looked, c.read = time.Now(), c.stat()
	err := c.load()
	return c, err
}

// stat says what the files are; nil: one is not there.
func (c *certificate) stat() (files [2]os.FileInfo) {
	for i, name := range []string{c.cert, c.key} {
		files[i], _ = os.Stat(name) // which follows links, as certbot and Kubernetes replace them
	}
	return files
}

func (c *certificate) load() error {
	read, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	c.shown = &read
	return nil
}

// get returns the certificate of now. While changed files cannot be used, as when
// only one of them has been replaced, it is the one before.
func (c *certificate) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cert == "" || now.Sub(c.looked) < lookEvery {
		return c.shown
	}
	c.looked = now
	files := c.stat()
	if same(files[0], c.read[0]) && same(files[1], c.read[1]) {
		return c.shown
	}
	c.read = files
	if err := c.load(); err != nil {
		c.log.Error("certificate not renewed", "error", err)
	} else {
		c.log.Info("certificate renewed", "until", c.shown.Leaf.NotAfter)
	}
	return c.shown
}

// same reports whether a file is what it was.
func same(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// makeCertificate makes a certificate, signed by itself, for this machine as it
// calls itself and for the host that is listened on, if that is said. It is shown
// to everybody, so it does not tell the machine's other names and addresses.
// Clients must be told to accept it.
func makeCertificate(host string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	names, addresses := []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	switch ip := net.ParseIP(host); {
	case ip != nil && !ip.IsUnspecified():
		addresses = append(addresses, ip)
	case ip == nil && host != "":
		names = append(names, host)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "owt-signal"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(certificateLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              names,
		IPAddresses:           addresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
