package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// polled is a client that begins by long polling, and misbehaves.
type polled struct {
	*testing.T
	server *server
	sid    string
}

// request makes a request for polling, and returns the status and the body.
func (p polled) request(method, body, query string) (int, string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), soon)
	defer cancel()
	url := p.server.Plain + "/socket.io/?EIO=4&transport=polling" + query
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		p.Fatalf("%s: %v", method, err)
	}
	defer func() { _ = answer.Body.Close() }()
	said, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(said)
}

func (p polled) post(body string) (int, string) {
	p.Helper()
	return p.request(http.MethodPost, body, "&sid="+p.sid)
}

func openLobby(t *testing.T, s *server, query ...string) polled {
	t.Helper()
	p := polled{T: t, server: s}
	status, body := p.request(http.MethodGet, "", strings.Join(query, ""))
	for deadline := time.Now().Add(soon); status == http.StatusTooManyRequests && time.Now().Before(deadline); { // after a flood
		time.Sleep(50 * time.Millisecond)
		status, body = p.request(http.MethodGet, "", strings.Join(query, ""))
	}
	_, sid, ok := strings.Cut(body, `0{"sid":"`)
	if status != http.StatusOK || !ok {
		t.Fatalf("open: %d %s", status, body)
	}
	p.sid, _, _ = strings.Cut(sid, `"`)
	return p
}

// dial opens the WebSocket for a sid; nil: it was refused.
func (p polled) dial(sid, query string) *websocket.Conn {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), soon)
	defer cancel()
	url := strings.Replace(p.server.Plain, "http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket&sid=" + sid + query
	conn, answer, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		if answer == nil || answer.StatusCode != http.StatusBadRequest {
			p.Errorf("dial: %v", err)
		}
		return nil
	}
	p.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// exchange sends a frame and returns the answer.
func (p polled) exchange(conn *websocket.Conn, frame string) string {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), soon)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte(frame)); err != nil {
		p.Fatal(err)
	}
	_, answer, err := conn.Read(ctx)
	if err != nil {
		p.Fatal(err)
	}
	return string(answer)
}

// upgrades takes over as a client does, with its CONNECT posted before.
func (p polled) upgrades() *websocket.Conn {
	p.Helper()
	if status, body := p.post("40"); status != http.StatusOK || body != "ok" {
		p.Fatalf("post: %d %s", status, body)
	}
	conn := p.dial(p.sid, "")
	if conn == nil {
		p.Fatal("refused")
	}
	if got := p.exchange(conn, "2probe"); got != "3probe" {
		p.Fatalf("probe: %s", got)
	}
	if got := p.exchange(conn, "5"); !strings.HasPrefix(got, `40{"sid":`) {
		p.Fatalf("upgrade: %s", got)
	}
	return conn
}

// TestLobbyAttacks is what somebody could try with others' lobbies, or with too
// many of their own. After each, a client of good will gets in.
func TestLobbyAttacks(t *testing.T) {
	t.Parallel()
	s := serve(t, "-log", "error")
	for name, attack := range map[string]func(*testing.T, *server){
		"guessed sids":            guessedSIDs,
		"stolen sids":             stolenSIDs,
		"a second upgrade":        secondUpgrade,
		"posts after the upgrade": postsAfterUpgrade,
		"posts of 1 MB":           largePosts,
		"half payloads":           halfPayloads,
		"slow bodies":             slowBodies,
		"polls of others' time":   manyPolls,
		"a flood of lobbies":      floodOfLobbies,
	} {
		t.Run(name, func(t *testing.T) {
			attack(t, s)
			openLobby(t, s).upgrades()
		})
	}
}

func guessedSIDs(t *testing.T, s *server) {
	p := openLobby(t, s)
	near := p.sid[:len(p.sid)-1]
	for i := range 200 {
		sid := near + string("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i%26])
		if i > 26 {
			var b [15]byte
			_, _ = rand.Read(b[:])
			sid = base64.RawURLEncoding.EncodeToString(b[:])
		}
		if sid == p.sid {
			continue
		}
		guess := polled{T: t, server: s, sid: sid}
		if status, _ := guess.post("40"); status != http.StatusBadRequest {
			t.Errorf("a post to %s: %d", sid, status)
		}
		if p.dial(sid, "") != nil {
			t.Errorf("let in with %s", sid)
		}
	}
	p.upgrades()
}

// stolenSIDs: whoever knows a sid, and not the handshake, gets nothing.
func stolenSIDs(t *testing.T, s *server) {
	p := openLobby(t, s, "&token=victim&clientVersion=5.0")
	for _, query := range []string{"", "&token=thief&clientVersion=5.0", "&token=victim", "&token=victim&clientVersion=5.0&clientType=Web"} {
		if p.dial(p.sid, query) != nil {
			t.Errorf("let in with %q", query)
		}
	}
	if p.dial(p.sid, "&token=victim&clientVersion=5.0") == nil {
		t.Error("the victim is refused")
	}
}

func secondUpgrade(t *testing.T, s *server) {
	p := openLobby(t, s)
	var let atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if p.dial(p.sid, "") != nil {
				let.Add(1)
			}
		})
	}
	all.Wait()
	if let.Load() != 1 {
		t.Errorf("%d were let in", let.Load())
	}
	p = openLobby(t, s)
	p.upgrades()
	if p.dial(p.sid, "") != nil {
		t.Error("let in once more")
	}
}

func postsAfterUpgrade(t *testing.T, s *server) {
	p := openLobby(t, s)
	conn := p.upgrades()
	for range 10 {
		if status, _ := p.post(`420["authentication",{"token":"thief"}]`); status != http.StatusBadRequest {
			t.Errorf("posted: %d", status)
		}
	}
	if got := p.exchange(conn, "2"); got != "3" {
		t.Errorf("the connection got %s", got)
	}
}

func largePosts(t *testing.T, s *server) {
	p := openLobby(t, s)
	for range 10 {
		if status, _ := p.post("4" + strings.Repeat("x", 1<<20)); status != http.StatusRequestEntityTooLarge {
			t.Errorf("posted: %d", status)
		}
	}
	p.upgrades()
}

func halfPayloads(t *testing.T, s *server) {
	p := openLobby(t, s)
	for _, body := range []string{"", "\x1e", "40\x1e", "40\x1e\x1e40", "x", "\xff", "bAQID", strings.Repeat("2\x1e", 100)} {
		if status, _ := p.post(body); status != http.StatusBadRequest {
			t.Errorf("%q: %d", body, status)
		}
	}
	p.upgrades()
}

// slowBodies: whoever does not bring the body that it has announced keeps
// nobody, and is cut off.
func slowBodies(t *testing.T, s *server) {
	p := openLobby(t, s)
	var slow []*rawClient
	for range 50 {
		c := dialTCP(t, s.Plain)
		c.put(t, fmt.Appendf(nil, "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: owt.test\r\nContent-Length: 1000\r\n\r\n4", p.sid))
		slow = append(slow, c)
	}
	p.upgrades()
	for _, c := range slow {
		if said, ended := c.rest(headerPatience + soon/2); !ended || strings.Contains(said, "200 OK") {
			t.Errorf("ended %v, after %q", ended, said)
		}
	}
}

// manyPolls: of the polls of a lobby one waits, and the others are answered.
func manyPolls(t *testing.T, s *server) {
	p := openLobby(t, s)
	answered := make(chan string, 30)
	for range cap(answered) {
		go func() {
			_, body := p.request(http.MethodGet, "", "&sid="+p.sid)
			answered <- body
		}()
	}
	for range cap(answered) - 1 {
		if body := <-answered; body != "6" {
			t.Errorf("polled %s", body)
		}
	}
	if status, _ := p.post("1"); status != http.StatusOK {
		t.Errorf("ended: %d", status)
	}
	if body := <-answered; body != "1" {
		t.Errorf("the last polled %s", body)
	}
}

// floodOfLobbies opens more than may be opened.
func floodOfLobbies(t *testing.T, s *server) {
	const opens, at = 4000, 40
	var let, refused atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range at {
		all.Go(func() {
			for range opens / at {
				switch status, _ := (polled{T: t, server: s}).request(http.MethodGet, "", ""); status {
				case http.StatusOK:
					let.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				default:
					t.Errorf("status %d", status)
				}
			}
		})
	}
	all.Wait()
	most := int64(1000 + 500*(time.Since(began).Seconds()+1))
	t.Logf("of %d lobbies in %v, %d were opened and %d refused", opens, time.Since(began), let.Load(), refused.Load())
	if let.Load() > most || let.Load()+refused.Load() != opens {
		t.Errorf("%d were opened, at most %d may be", let.Load(), most)
	}
	if bytes.Contains(s.logs.Bytes(), []byte("panic")) {
		t.Error("the server has panicked")
	}
}
