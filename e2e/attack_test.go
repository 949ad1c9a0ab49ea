package e2e

import (
	"fmt"
	"testing"
)

// TestAttacks is what somebody who may connect could try against others. What
// is wrong with single frames is in TestBadInput.
func TestAttacks(t *testing.T) {
	s := serve(t, "-log", "warn")
	for _, d := range []dialect{socketIO(3), socketIO(4), plainJSON{}} {
		name := fmt.Sprintf("%T%v", d, d)
		t.Run("a superseded connection sends, "+name, func(t *testing.T) { supersededSends(t, s, d) })
		t.Run("names that look alike, "+name, func(t *testing.T) { namesThatLookAlike(t, s, d) })
	}
	t.Run("another's name", func(t *testing.T) { anotherName(t, s) })
}

// supersededSends: whoever has lost its name sends nothing under it, however
// many frames it had ready.
func supersededSends(t *testing.T, s *server, d dialect) {
	user := fmt.Sprintf("victim-%T%v", d, d)
	peer := join(t, s, plainJSON{}, "peer-of-"+user)
	old, wire := joinRaw(t, s, d, user)
	old.tell(t, peer)
	young := join(t, s, d, user)
	for n := range 20 {
		// The server may have closed the connection by now.
		_, _ = wire.Write(fragments(d.message(n+2, peer.name, `"of the past"`), largestFrame))
	}
	young.tell(t, peer)
	peer.wantDelivered(t, user)
}

// namesThatLookAlike: names are bytes. Whoever takes one that looks like
// another's gets none of its messages, and takes nothing over.
func namesThatLookAlike(t *testing.T, s *server, d dialect) {
	rest := fmt.Sprintf("-%T%v", d, d)
	victim := join(t, s, d, "jos\u00e9"+rest)
	sender := join(t, s, plainJSON{}, "sender-to-"+victim.name)
	for _, alike := range []string{
		victim.name + " ", " " + victim.name, victim.name + "\u200b",
		"jose\u0301" + rest, "JOS\u00c9" + rest, "j\u03bfs\u00e9" + rest, // decomposed; in capitals; with a Greek omicron
	} {
		imposter := join(t, s, socketIO(4), alike)
		sender.tell(t, victim)
		imposter.sent++ // the number of a message to oneself
		imposter.send(t, imposter.message(imposter.sent, alike, last))
		if got, err := imposter.next(); err != nil {
			t.Fatal(err)
		} else if from, data := imposter.delivered(got); data != last || from == victim.name {
			t.Errorf("%q got %s", alike, got)
		}
		want(t, imposter, imposter.acked(imposter.sent))
	}
}

// anotherName: the sender is whom the connection belongs to, whatever its frames
// say, and however they say it.
func anotherName(t *testing.T, s *server) {
	peer, other := join(t, s, plainJSON{}, "spoofed"), join(t, s, plainJSON{}, "overlooked")
	eve := join(t, s, socketIO(4), "eve")
	mallory := join(t, s, plainJSON{}, "mallory")
	for n, members := range []string{
		`"from":"alice","to":"spoofed","data":1`,
		`"to":"spoofed","data":1,"from":"alice"`,
		`"to":"overlooked","to":"spoofed","data":1`,
		`"__proto__":{"from":"alice","to":"overlooked"},"to":"spoofed","data":1`,
		`"constructor":{"prototype":{"from":"alice"}},"to":"spoofed","data":1`,
		`"to":"overlooked","data":2,"to":"spoofed","data":1,"seq":7,"epoch":"e","session":"s","number":3`,
		`"\u0074o":"spoofed","data":1,"\u0066rom":"alice"`,
	} {
		for _, u := range []*user{eve, mallory} {
			u.sent = n + 1
			frame := fmt.Sprintf(`42%d["owt-message",{%s}]`, u.sent, members)
			if u == mallory {
				frame = fmt.Sprintf(`{"type":"message","id":%d,%s}`, u.sent, members)
			}
			u.send(t, frame)
			want(t, u, u.acked(u.sent))
			got, err := peer.next()
			if from, data := peer.delivered(got); err != nil || from != u.name || data != "1" {
				t.Errorf("%s arrived as %s, %v", members, got, err)
			}
		}
	}
	other.wantDelivered(t, "eve")
	other.wantDelivered(t, "mallory")
}
