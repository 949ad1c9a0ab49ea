package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/ice"
	"github.com/owt-signal/owt-signal/internal/need"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// turnSecret is what the TURN server and the functions share.
const turnSecret = "planted-secret-of-a-turn-server"

// TestRelay has the binaries that are deployed hand out credentials that a real
// TURN server takes, and real browsers call each other through it alone.
func TestRelay(t *testing.T) {
	t.Parallel()
	chromium := need.Browser(t)
	turn := startTURN(t)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(turnSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const lifetime = time.Hour
	stunURL, turnURL := "stun:"+turn, "turn:"+turn+"?transport=udp"
	s := serve(t, append(onFunctions(t), "-ice-servers", turnURL+","+stunURL, "-turn-secret-file", file, "-turn-lifetime", lifetime.String())...)
	now := lane.At(time.Now())
	ctx, cancel := context.WithTimeout(t.Context(), pageWithin)
	defer cancel()
	node(ctx, t, []string{
		"CHROMIUM=" + chromium, "SERVER=" + s.Plain, "ENDPOINT=" + s.Plain + "/socket.io/",
		"STUN=" + stunURL, "TURN=" + turnURL, fmt.Sprintf("LIFETIME=%.0f", lifetime.Seconds()),
		"USERS=" + asJSON(t, pseudonyms("alice", "bob", "用户:1", "union select '")),
		"EXPIRED=" + asJSON(t, credential(turnSecret, now.Add(-lifetime-time.Minute), lifetime)),
		"FORGED=" + asJSON(t, credential(turnSecret+"!", now, lifetime)),
	}, "ice/relay.test.mjs")
}

func pseudonyms(users ...signal.UserName) map[signal.UserName]string {
	all := make(map[signal.UserName]string)
	for _, u := range users {
		all[u] = ice.Pseudonym([]byte(turnSecret), u)
	}
	return all
}

func credential(secret string, now lane.Instant, lifetime time.Duration) [2]string {
	username, password := ice.Credential([]byte(secret), "alice", now, lifetime)
	return [2]string{username, password}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// startTURN starts coturn on loopback, and returns its address.
func startTURN(t *testing.T) string {
	t.Helper()
	program := need.Program(t, "turnserver")
	address, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(address)
	dir, logs := t.TempDir(), &lockedBuffer{}
	cmd := exec.Command(program, "-n", "--listening-ip", host, "--listening-port", port, "--relay-ip", host,
		"--realm", "owt-signal", "--use-auth-secret", "--static-auth-secret", turnSecret,
		"--allow-loopback-peers", "--no-cli", "--no-tls", "--no-dtls",
		"--pidfile", filepath.Join(dir, "pid"), "--userdb", filepath.Join(dir, "db"), "--log-file", "stdout", "--verbose")
	cmd.Stdout, cmd.Stderr = logs, logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("TURN server:\n%s", logs)
		}
	})
	listening := regexp.MustCompile(`UDP listener opened on: ` + regexp.QuoteMeta(address))
	for began := time.Now(); !listening.MatchString(logs.String()); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > soon {
			t.Fatalf("the TURN server did not start:\n%s", logs)
		}
	}
	return address
}

// freePort returns an address on loopback that nobody has, for UDP and TCP: whoever has one may not have the other.
func freePort() (address string, err error) {
	for range 100 {
		udp, udpErr := net.ListenPacket("udp", "127.0.0.1:0")
		if udpErr != nil {
			return "", udpErr
		}
		address = udp.LocalAddr().String()
		tcp, tcpErr := net.Listen("tcp", address)
		_ = udp.Close()
		if err = tcpErr; err == nil {
			return address, tcp.Close()
		}
	}
	return "", err
}
