package costs

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// asks is a request of the stranger's client that polls.
func (s *stranger) asks(method, query, body string) apigw.HTTPResponse {
	ev := &events.APIGatewayV2HTTPRequest{RawQueryString: "EIO=4&transport=polling" + query, Body: body}
	ev.RequestContext.HTTP.Method = method
	return s.handler.Lobby(s.t.Context(), ev)
}

// TestLobbyOfAStranger: whatever has been posted in a lobby, and however much, a
// request costs a unit or two; a poll that waits, one more for each look. A long post
// costs what is posted, if that is kept.
func TestLobbyOfAStranger(t *testing.T) {
	svc := newService(t)
	used := svc.sized()
	s := newStranger(t, svc, "poller-AAAAAAAAAA=", engine4)
	used()
	r := s.asks(http.MethodGet, "", "")
	_, sid, _ := strings.Cut(r.Body, `"sid":"`)
	query := "&sid=" + sid[:20]
	want := func(what string, status int, r apigw.HTTPResponse, most float64) {
		t.Helper()
		if units := used(); r.StatusCode != status || units > most {
			t.Errorf("%s is answered %d, and costs %.0f units, at most %.0f are wanted", what, r.StatusCode, units, most)
		}
	}
	want("a lobby", http.StatusOK, r, 1)
	for n := range signal.MaxLobbyPackets - 2 {
		want("a post", http.StatusOK, s.asks(http.MethodPost, query, "42"+strings.Repeat("x", 10+n%9)), 1)
	}
	const long = signal.MaxLobbyBytes - 1<<10
	want("a long post", http.StatusOK, s.asks(http.MethodPost, query, "42"+strings.Repeat("x", long)), 1+1+long>>10+1)
	want("a long post for which there is no room", http.StatusRequestEntityTooLarge, s.asks(http.MethodPost, query, "42"+strings.Repeat("y", long)), 1)
	want("a post", http.StatusOK, s.asks(http.MethodPost, query, "40"), 1)
	want("a post for which there is no room", http.StatusRequestEntityTooLarge, s.asks(http.MethodPost, query, "40"), 1)
	looks := 63.0 // in the time of a poll
	began := s.clock.now
	for range signal.MaxPolls {
		s.clock.now = began
		want("a poll", http.StatusOK, s.asks(http.MethodGet, query, ""), 1+looks)
	}
	s.clock.now = began
	want("a poll too many", http.StatusBadRequest, s.asks(http.MethodGet, query, ""), 1)

	// Where all places to wait are taken: four tries to find one.
	places := s.handler.Service.Store.(signal.PlaceStore)
	s.handler.Service.PlaceStore, s.handler.Service.Places = places, 1
	for place := range 2 {
		if ok, err := places.TakePlace(t.Context(), place, "another", began.Add(time.Hour), began); !ok || err != nil {
			t.Fatalf("place %d: %v, %v", place, ok, err)
		}
	}
	_, sid, _ = strings.Cut(s.asks(http.MethodGet, "", "").Body, `"sid":"`)
	query = "&sid=" + sid[:20]
	used()
	looks = math.Floor(limit(t, "TableReadUnits") / limit(t, "LobbyRate"))
	want("a poll that finds no place", http.StatusOK, s.asks(http.MethodGet, query, ""), 1+looks+4)
}
