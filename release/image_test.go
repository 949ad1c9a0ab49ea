package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// soon only ends a hang.
const soon = time.Minute

// images returns those of an OCI layout in a tar, all of whose digests are right.
func images(t *testing.T, name string) (all []v1.Image) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	folder := t.TempDir()
	put(t, folder, tarEntries(t, file))
	outer, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(outer); err != nil {
		t.Error(err)
	}
	top, err := outer.IndexManifest()
	if err != nil || len(top.Manifests) != 1 {
		t.Fatalf("%+v, %v, want one index", top, err)
	}
	called := top.Manifests[0].Annotations
	if called["org.opencontainers.image.ref.name"] != version || called["io.containerd.image.name"] != "localhost/owt-signal:"+version {
		t.Errorf("is called %v", called)
	}
	index, err := outer.ImageIndex(top.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, image)
	}
	return all
}

// put writes files into a folder, readable by all.
func put(t *testing.T, folder string, entries []entry) {
	t.Helper()
	for _, e := range entries {
		name := filepath.Join(folder, filepath.FromSlash(e.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, e.data, e.mode); err != nil {
			t.Fatal(err)
		}
	}
}

// containerImage unpacks the image and runs its program: it has nothing but what it
// comes with, clients connect, and it trusts whom the certificates vouch for.
func containerImage(t *testing.T, name string, program []byte) {
	all := images(t, name)
	if len(all) != 1 {
		t.Fatalf("%d images", len(all))
	}
	config, err := all[0].ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if labels := config.Config.Labels; labels["org.opencontainers.image.version"] != version || len(labels["org.opencontainers.image.revision"]) != 40 {
		t.Errorf("labels %v", labels)
	}
	flat := mutate.Extract(all[0])
	defer flat.Close()
	entries := tarEntries(t, flat)
	files := make(map[string][]byte)
	for _, e := range entries {
		files[e.name] = e.data
	}
	if !bytes.Equal(files["owt-signal"], program) || len(files["LICENSE"]) == 0 || len(files[notices]) == 0 || len(files) != 4 {
		t.Errorf("%d files, a program of %d bytes", len(files), len(files["owt-signal"]))
	}
	roots(t, files[certificates])

	issuer, asked := startIssuer(t)
	rootfs := t.TempDir()
	put(t, rootfs, entries)
	vouched := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Certificate().Raw})
	put(t, rootfs, []entry{{certificates, 0o644, append(files[certificates], vouched...)}})
	if err := os.Chmod(rootfs, 0o755); err != nil {
		t.Fatal(err)
	}
	url := runImage(t, rootfs, config.Config, "-plain", "127.0.0.1:0", "-secure", "off", "-log", "warn",
		"-auth", "jwt", "-jwt-issuer", issuer.URL, "-anonymous", "allow")
	if frame := handshake(t, url, ""); !strings.HasPrefix(frame, `0{"sid":"`) {
		t.Errorf("the handshake is answered %q", frame)
	}
	handshake(t, url, unverified(issuer.URL))
	select {
	case <-asked:
	case <-time.After(soon):
		t.Error("the issuer is not asked for its keys")
	}
}

// startIssuer starts an issuer of tokens, over TLS, that says when it is asked for what
// it is (OpenID Connect Discovery 1.0, section 4). It knows nothing.
func startIssuer(t *testing.T) (s *httptest.Server, asked <-chan struct{}) {
	t.Helper()
	requests := make(chan struct{}, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		select {
		case requests <- struct{}{}:
		default:
		}
		http.NotFound(w, r)
	})
	s = httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	return s, requests
}

// unverified is a token that looks like one of the issuer's.
func unverified(issuer string) string {
	encode := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"iss":%q,"sub":"alice","exp":%d}`, issuer, time.Now().Add(time.Hour).Unix())
	return encode([]byte(`{"alg":"RS256","kid":"1","typ":"JWT"}`)) + "." + encode([]byte(claims)) + "." + encode(make([]byte, 256))
}

var servedAt = regexp.MustCompile(`http://\S+/socket\.io/`)

// runImage runs what an image does, until the test ends, and returns where it serves
// Socket.IO's clients. As root the test does what a container engine would: the program
// sees the image's files alone, as its user.
func runImage(t *testing.T, rootfs string, config v1.Config, args ...string) (url string) {
	t.Helper()
	logs := new(bytes.Buffer)
	cmd := inImage(t, rootfs, config, args)
	cmd.Stderr = logs
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("ends with %v: %s", err, logs)
		}
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if url = servedAt.FindString(lines.Text()); url != "" {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return url
		}
	}
	t.Fatalf("does not say where it serves: %s", logs)
	return ""
}

// handshake opens a WebSocket for Engine.IO (RFC 6455, section 4.1) and returns the
// first frame; or nothing, if it is refused.
func handshake(t *testing.T, url, token string) (frame string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"?EIO=4&transport=websocket", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		request.Header.Set(name, value)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return ""
	}
	var header [4]byte // of a text frame of 126 to 65535 bytes, unmasked (section 5.2)
	if _, err := io.ReadFull(answer.Body, header[:2]); err != nil {
		t.Fatal(err)
	}
	length := int(header[1])
	if length == 126 {
		if _, err := io.ReadFull(answer.Body, header[2:]); err != nil {
			t.Fatal(err)
		}
		length = int(header[2])<<8 | int(header[3])
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(answer.Body, text); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// roots checks the certificates that are trusted.
func roots(t *testing.T, file []byte) {
	t.Helper()
	n := 0
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err != nil || !c.IsCA {
			t.Errorf("certificate %d: %v", n, err)
		}
		n++
	}
	if n < 100 {
		t.Errorf("%d certificates", n)
	}
}
