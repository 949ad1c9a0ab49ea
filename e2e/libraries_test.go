package e2e

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/need"
)

// TestLibraries runs one scenario with Socket.IO's libraries in several languages,
// each in a program of its own (libraries): on each store, and against a server
// that misbehaves.
func TestLibraries(t *testing.T) {
	all := libraries(t)
	for _, on := range []struct {
		name  string
		flags func(t *testing.T) []string
		more  []string
		polls bool // the clients begin by long polling, as they do by default
	}{
		{"memory", inMemory, nil, false},
		{"default transports", inMemory, nil, true},
		{"functions", onFunctions, nil, true},
		{"late", inMemory, []string{"-faults", "delay=40ms,duplicate=0.05"}, true},
		{"late functions", onFunctions, []string{"-faults", "delay=40ms,duplicate=0.05"}, true},
	} {
		t.Run(on.name, func(t *testing.T) {
			s := serve(t, append(append(on.flags(t), on.more...), "-ping-interval", "2s", "-ping-timeout", "20s", "-log", "warn")...)
			for _, l := range all {
				t.Run(l.name, func(t *testing.T) {
					t.Parallel()
					libraryRun{t, s, on.more != nil, on.polls, l}.run()
				})
			}
		})
	}
}

// patience bounds what a program does at once, of several that start on a machine
// under load.
const patience = 3 * time.Minute

// library is a version of a client library.
type library struct {
	name    string
	program []string
	auth    bool // it has Socket.IO's own place for credentials
	buffers bool // it keeps what is emitted while it is offline
	threads bool // it gives each event a thread of its own, so they overtake one another
}

// libraries are those that there are; the test is skipped for lack of one.
func libraries(t *testing.T) []library {
	t.Helper()
	const install = "`make test-clients` installs it"
	node := func(version string) []string { return []string{nodePath(t), "libraries/client.mjs", version} }
	java := func(version string) []string {
		lib := filepath.Dir(need.File(t, "e2e/libraries/java/"+version+"/lib/.stamp", install))
		jars, classes := filepath.Join(lib, "*"), t.TempDir()
		compile := exec.Command(need.Program(t, "javac"), "-cp", jars, "-d", classes, "libraries/java/Client.java")
		if out, err := compile.CombinedOutput(); err != nil {
			t.Fatalf("compile: %v\n%s", err, out)
		}
		return []string{need.Program(t, "java"), "-cp", jars + string(filepath.ListSeparator) + classes, "Client"}
	}
	python := func(version string) []string {
		return []string{need.File(t, "e2e/libraries/.venv-"+version+"/bin/python", install), "libraries/client.py", version}
	}
	return []library{
		{"JavaScript 1", node("1"), false, true, false},
		{"JavaScript 2", node("2"), false, true, false},
		{"JavaScript 3", node("3"), true, true, false},
		{"JavaScript 4", node("4"), true, true, false},
		{"Java 1", java("1"), false, true, false},
		{"Java 2", java("2"), true, true, false},
		{"Python 4", python("4"), false, false, true},
		{"Python 5", python("5"), true, false, true},
	}
}

// told is what a program says.
type told struct {
	On   string
	ID   string
	Args []json.RawMessage
}

func (w told) String() string { return fmt.Sprintf("%s %s%s", w.On, w.ID, w.Args) }

// program is one that uses a library.
type program struct {
	t  *testing.T
	in *json.Encoder

	mu   sync.Mutex
	told []told
	more chan struct{} // closed when there is more
}

// start starts a program. Its connection is closed, by what the library does then,
// when the test ends.
func (l library) start(t *testing.T) *program {
	t.Helper()
	cmd := exec.Command(l.program[0], l.program[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &program{t: t, in: json.NewEncoder(in), more: make(chan struct{})}
	var reading sync.WaitGroup
	reading.Go(func() { c.read(out) })
	t.Cleanup(func() {
		in.Close()
		killed := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		reading.Wait()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended: %v", l.name, err)
		}
		killed.Stop()
		if t.Failed() {
			t.Logf("%s told\n%v", l.name, c.told)
		}
	})
	return c
}

func (c *program) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var w told
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			c.t.Errorf("a line that is none: %s", lines.Text())
		}
		c.mu.Lock()
		c.told = append(c.told, w)
		close(c.more)
		c.more = make(chan struct{})
		c.mu.Unlock()
	}
}

// ask asks the program to do something.
func (c *program) ask(what string, args map[string]any) {
	c.t.Helper()
	ask := map[string]any{"do": what}
	maps.Copy(ask, args)
	if err := c.in.Encode(ask); err != nil {
		c.t.Fatalf("ask to %s: %v", what, err)
	}
}

// all returns what was told of a kind, and what to wait for if more is wanted.
func (c *program) all(on string) (all []told, more <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.told {
		if w.On == on {
			all = append(all, w)
		}
	}
	return all, c.more
}

// counts returns how many things of each kind were told.
func (c *program) counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := make(map[string]int)
	for _, w := range c.told {
		counts[w.On]++
	}
	return counts
}

// await waits for the nth of a kind.
func (c *program) await(on string, nth int) told {
	c.t.Helper()
	for end := time.After(patience); ; {
		all, more := c.all(on)
		if len(all) >= nth {
			return all[nth-1]
		}
		select {
		case <-more:
		case <-end:
			c.t.Fatalf("awaiting %s for the %d. time", on, nth)
		}
	}
}

// send emits a message with an ack.
func (c *program) send(id int, to, data string) {
	c.ask("emit", map[string]any{"name": "owt-message", "id": strconv.Itoa(id), "args": []any{map[string]string{"to": to, "data": data}}})
}

// libraryRun is what each library goes through.
type libraryRun struct {
	*testing.T
	server  *server
	repeats bool // invocations run twice, and so do their answers
	polls   bool
	library
}

// run has the library connect, authenticate in each way that it has, exchange
// messages, lose its network, and lose its name.
func (s libraryRun) run() {
	name := func(role string) string { return fmt.Sprintf("%s-%s-%d", role, s.name, time.Now().UnixNano()) }
	ways := map[string]map[string]any{
		"event": {"token": name("event")},
		"query": {"query": map[string]string{"token": name("query"), "clientVersion": "4.3.1", "clientType": "Web"}},
	}
	if s.auth {
		ways["auth"] = map[string]any{"auth": map[string]string{"token": name("auth")}}
	}
	for way, options := range ways {
		s.Run(way, func(t *testing.T) {
			t.Parallel()
			libraryRun{t, s.server, s.repeats, s.polls, s.library}.by(way, options)
		})
	}
}

func (s libraryRun) by(way string, options map[string]any) {
	network := newProxy(s.T, s.server)
	options["url"] = "http://" + network.Address
	if !s.polls {
		options["transports"] = []string{"websocket"}
	}
	me, peer := s.start(s.T), s.start(s.T)
	peer.ask("connect", map[string]any{
		"url": s.server.Plain, "transports": []string{"websocket"}, "token": fmt.Sprintf("peer-%s-%d", way, time.Now().UnixNano()),
	})
	friend := s.authenticated(peer, "event", nil)
	me.ask("connect", options)
	user := s.authenticated(me, way, nil)
	s.exchange(me, peer, friend)
	s.exchange(peer, me, user)
	me.send(1000, "nobody", "x")
	if got := s.ack(me, 1000); !slices.Equal(got, []string{"2201"}) {
		s.Errorf("a message to nobody is answered %s, want 2201", got)
	}

	time.Sleep(3 * time.Second) // heartbeats
	s.wantCount(me, "disconnect", 0)
	was := me.counts()
	network.cut()
	me.await("disconnect", 1)
	if s.buffers {
		me.send(2000, friend, "meanwhile")
	}
	s.authenticated(me, way, was)
	if s.buffers {
		s.acked(me, 2000)
		s.received(peer, messages, "meanwhile")
	}

	other := s.start(s.T)
	other.ask("connect", options)
	s.authenticated(other, way, nil)
	me.await("server-disconnect", 1)
	me.await("disconnect", 2)
	time.Sleep(2 * time.Second) // it would come back by then
	s.wantCount(other, "disconnect", 0)
	other.send(1, friend, "mine")
	s.acked(other, 1)
	before := messages
	if s.buffers {
		before++
	}
	s.received(peer, before, "mine")
	if !s.repeats {
		s.wantCount(me, "connect", 2)
		s.wantCount(other, "connect", 1)
	}
}

// authenticated waits until a client has authenticated since it had told so many
// things of each kind, and returns its name.
func (s libraryRun) authenticated(c *program, way string, since map[string]int) string {
	s.Helper()
	c.await("connect", since["connect"]+1)
	if way == "event" {
		c.await("authenticated", since["authenticated"]+1)
	}
	var who struct{ UID string }
	if err := json.Unmarshal(c.await("server-authenticated", since["server-authenticated"]+1).Args[0], &who); err != nil {
		s.Fatal(err)
	}
	return who.UID
}

// messages is how many one user sends the other.
const messages = 50

// exchange sends messages, all but the first without waiting, which arrive in order and
// are acked. Who authenticates with the handshake does not say where its numbers begin:
// on a busy machine the first could come too late behind others.
func (s libraryRun) exchange(from, to *program, name string) {
	s.Helper()
	want := []string{"message 0"}
	from.send(0, name, want[0])
	s.acked(from, 0)
	for n := 1; n < messages; n++ {
		want = append(want, fmt.Sprint("message ", n))
		from.send(n, name, want[n])
	}
	for n := 1; n < messages; n++ {
		s.acked(from, n)
	}
	s.received(to, 0, want...)
}

// received sees that these messages are what has come after so many others.
func (s libraryRun) received(c *program, after int, want ...string) {
	s.Helper()
	type message struct {
		Data string
		Seq  int
	}
	got := make([]message, after+len(want))
	for n := range got {
		if err := json.Unmarshal(c.await("owt-message", n+1).Args[0], &got[n]); err != nil {
			s.Fatal(err)
		}
	}
	if s.threads {
		slices.SortFunc(got, func(a, b message) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	for n, m := range got[after:] {
		if m.Data != want[n] {
			s.Errorf("message %d is %q, want %q", after+n, m.Data, want[n])
		}
	}
}

// ack returns the arguments of the ack of a message.
func (s libraryRun) ack(c *program, id int) (args []string) {
	s.Helper()
	for end := time.After(patience); ; {
		all, more := c.all("ack")
		if i := slices.IndexFunc(all, func(w told) bool { return w.ID == strconv.Itoa(id) }); i >= 0 {
			for _, a := range all[i].Args {
				args = append(args, string(a))
			}
			return args
		}
		select {
		case <-more:
		case <-end:
			s.Fatalf("awaiting the ack of message %d", id)
		}
	}
}

// acked sees that a message has succeeded: OWT's clients take no argument for that.
func (s libraryRun) acked(c *program, id int) {
	s.Helper()
	if got := s.ack(c, id); len(got) != 0 {
		s.Errorf("message %d is answered %s", id, got)
	}
}

// wantCount sees that something has happened so often.
func (s libraryRun) wantCount(c *program, on string, want int) {
	s.Helper()
	if all, _ := c.all(on); len(all) != want {
		s.Errorf("%s came %d times, want %d: %v", on, len(all), want, all)
	}
}
