package costs

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// more is what one has taken more than another.
func (s Steps) more(than Steps) (d Steps) {
	a, b, c := reflect.ValueOf(s), reflect.ValueOf(than), reflect.ValueOf(&d).Elem()
	for i := range a.NumField() {
		c.Field(i).SetInt(a.Field(i).Int() - b.Field(i).Int())
	}
	return d
}

// TestWatched: 50 who watch a user cost as many posts each time it comes or goes, and
// nothing where it goes on by another connection; whom nobody watches costs nothing.
func TestWatched(t *testing.T) {
	const watchers = 50
	s := newService(t)
	s.connect("bob-AAAAAAAAAAA=", "token=bob")
	for i := range watchers {
		id := fmt.Sprintf("watcher%02d-AAAAA=", i)
		s.connect(id, fmt.Sprint("token=watcher", i))
		s.did()
		s.frame(id, `{"type":"watch","user":"alice"}`)
		if steps, said := s.did(); steps != watch || !strings.Contains(said, `"online":false,"watched":true`) {
			t.Fatalf("watch: %+v, want %+v; said %s", steps, watch, said)
		}
	}
	gone, number := "", 0
	s.wire = func(r *http.Request, _ string) int {
		if gone != "" && strings.HasSuffix(r.URL.Path, gone) {
			return http.StatusGone
		}
		return http.StatusOK
	}
	for _, step := range []struct {
		name   string
		do     func(user string)
		told   int
		online bool
	}{
		{"comes", func(user string) { s.connect(user+"-1-AAAAAAA=", "token="+user) }, watchers, true},
		{"takes over", func(user string) { s.connect(user+"-2-AAAAAAA=", "token="+user) }, 0, true},
		{"its late end", func(user string) { s.disconnect(user + "-1-AAAAAAA=") }, 0, true},
		{"is found gone by a message", func(user string) {
			gone = user + "-2-AAAAAAA="
			number++
			s.frame("bob-AAAAAAAAAAA=", fmt.Sprintf(`{"type":"message","id":%d,"to":"%s","data":1}`, number, user))
		}, watchers, false},
		{"comes back", func(user string) { s.connect(user+"-3-AAAAAAA=", "token="+user) }, watchers, true},
		{"leaves", func(user string) { s.disconnect(user + "-3-AAAAAAA=") }, watchers, false},
		{"comes again", func(user string) { s.connect(user+"-4-AAAAAAA=", "token="+user) }, watchers, true},
		{"is found gone by keepalive", func(user string) {
			gone = user + "-4-AAAAAAA="
			s.round()
		}, watchers, false},
	} {
		step.do("carol")
		unwatched, _ := s.did()
		step.do("alice")
		watched, said := s.did()
		want := Steps{}
		if step.told > 0 {
			want = announced(step.told)
		}
		got := watched.more(unwatched)
		got.Waits = 0 // for keepalive's pace
		if got != want {
			t.Errorf("%s: %+v more, want %+v", step.name, got, want)
		}
		event := fmt.Sprintf(`{"type":"presence","user":"alice","online":%v,"watched":true,`, step.online)
		if n := strings.Count(said, event); n != step.told {
			t.Errorf("%s: %d were told, want %d; said %s", step.name, n, step.told, said)
		}
		t.Logf("%s: %+v", step.name, watched)
	}
}
