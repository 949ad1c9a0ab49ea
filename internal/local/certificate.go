package local

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"time"
)

// certificateLife is how long a certificate made at start is valid.
const certificateLife = 30 * 24 * time.Hour

// loadCertificate loads the certificate from files, or makes one.
func loadCertificate(o options) (tls.Certificate, error) {
	if o.cert == "" {
		host, _, _ := net.SplitHostPort(o.secure) // net.Listen says what is wrong with it
		return makeCertificate(host, time.Now())
	}
	c, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return c, fmt.Errorf("load certificate: %w", err)
	}
	return c, nil
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
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
