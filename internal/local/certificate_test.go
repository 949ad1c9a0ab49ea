package local

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMadeCertificateVerifiesAgainstItself(t *testing.T) {
	s := start(t, "-plain", "off")
	made := s.certificate(t)
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if _, err := made.Verify(x509.VerifyOptions{DNSName: name, Roots: poolOf(made)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := made.Verify(x509.VerifyOptions{DNSName: "example.org", Roots: poolOf(made)}); err == nil {
		t.Error("verifies for any name")
	}
	if now := time.Now(); made.NotBefore.After(now) || made.NotAfter.Before(now.Add(24*time.Hour)) {
		t.Errorf("valid from %v to %v", made.NotBefore, made.NotAfter)
	}
	for _, name := range []string{"localhost", "127.0.0.1"} {
		conn, err := tls.Dial("tcp", s.secure, &tls.Config{RootCAs: poolOf(made), ServerName: name, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Errorf("connect to %s: %v", name, err)
			continue
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" { // RFC 6455 section 4.1
			t.Errorf("negotiated %q, want http/1.1", got)
		}
		_ = conn.Close()
	}
}

// It is shown to whoever connects, so it says no more of the machine than they know.
func TestMadeCertificateNamesNoMoreThanItMust(t *testing.T) {
	for host, want := range map[string]struct {
		names     []string
		addresses string
	}{
		"":            {[]string{"localhost"}, "[127.0.0.1 ::1]"},
		"0.0.0.0":     {[]string{"localhost"}, "[127.0.0.1 ::1]"},
		"::":          {[]string{"localhost"}, "[127.0.0.1 ::1]"},
		"192.0.2.1":   {[]string{"localhost"}, "[127.0.0.1 ::1 192.0.2.1]"},
		"box.example": {[]string{"localhost", "box.example"}, "[127.0.0.1 ::1]"},
	} {
		made, err := makeCertificate(host, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(made.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.DNSNames, want.names) || fmt.Sprint(c.IPAddresses) != want.addresses {
			t.Errorf("%q is listened on: %v, %v, want %v", host, c.DNSNames, c.IPAddresses, want)
		}
	}
}

func TestMadeCertificatesDiffer(t *testing.T) {
	one, other := start(t, "-plain", "off").certificate(t), start(t, "-plain", "off").certificate(t)
	if one.Equal(other) || one.SerialNumber.Cmp(other.SerialNumber) == 0 {
		t.Error("two servers have made the same certificate")
	}
}

func TestGivenCertificateIsUsed(t *testing.T) {
	cert, key, der := certificateFiles(t)
	s := start(t, "-plain", "off", "-cert", cert, "-key", key)
	if got := s.certificate(t); !bytes.Equal(got.Raw, der) {
		t.Errorf("the certificate of %v is served, not the one given", got.Subject)
	}
}

func TestBadCertificates(t *testing.T) {
	cert, key, _ := certificateFiles(t)
	_, otherKey, _ := certificateFiles(t)
	garbage := filepath.Join(t.TempDir(), "garbage.pem")
	if err := os.WriteFile(garbage, []byte("not PEM\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for _, test := range []struct {
		name, cert, key, want string
	}{
		{"missing certificate", missing, key, missing},
		{"missing key", cert, missing, missing},
		{"garbage for a certificate", garbage, key, "certificate"},
		{"garbage for a key", cert, garbage, "key"},
		{"key of another", cert, otherKey, "key"},
		{"directory", t.TempDir(), key, "directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantRefused(t, loopback("-cert", test.cert, "-key", test.key), "certificate", test.want)
		})
	}
}

// certificateFiles makes a certificate of our own, in files.
func certificateFiles(t *testing.T) (cert, key string, der []byte) {
	t.Helper()
	made, err := makeCertificate("", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: made.Certificate[0]},
		key:  {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key, made.Certificate[0]
}

func poolOf(c *x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return pool
}

// certificate is the one that the server shows.
func (s *running) certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", s.secure, &tls.Config{InsecureSkipVerify: true}) // what it is, is the question
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0]
}

// TestRenewedCertificate replaces the files of a certificate while clients connect:
// none is refused, what cannot be used is not taken up, and in the end the new one
// is shown. A connection that is open stays.
func TestRenewedCertificate(t *testing.T) {
	cert, key, old := certificateFiles(t)
	newCert, newKey, renewed := certificateFiles(t)
	s := start(t, "-plain", "off", "-cert", cert, "-key", key)
	open := s.dial(t, "wss://"+s.secure+"/prod?token=alice")
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				conn, err := tls.Dial("tcp", s.secure, &tls.Config{InsecureSkipVerify: true}) // what it is, is asked below
				if err != nil {
					t.Errorf("connect: %v", err)
					return
				}
				_ = conn.Close()
			}
		})
	}
	replace := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	replace(newCert, cert)
	eventually(t, "the key of another in the log", func() bool { return strings.Contains(s.stderr.String(), "certificate not renewed") })
	if got := s.certificate(t); !bytes.Equal(got.Raw, old) {
		t.Error("half of the new one is shown")
	}
	replace(newKey, key)
	eventually(t, "the new certificate", func() bool { return bytes.Equal(s.certificate(t).Raw, renewed) })
	close(stop)
	load.Wait()
	say(t, open, `{"type":"message","id":1,"to":"alice","data":1}`)
	for !strings.Contains(next(t, open), `"ack"`) {
	}
}

// What has not changed is not read again, nor is anything looked at all the time.
func TestCertificateIsLookedAtNowAndThen(t *testing.T) {
	cert, key, _ := certificateFiles(t)
	c, err := newCertificate(options{cert: cert, key: key}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first := c.shown
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	if c.get(c.looked.Add(lookEvery-1)) != first || c.read[0] == nil {
		t.Error("looked at before its time")
	}
	if c.get(c.looked.Add(lookEvery)) != first || c.read[0] != nil {
		t.Error("not looked at in time, or a file that is not there counts")
	}
}
