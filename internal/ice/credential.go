package ice

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // which TURN servers check
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// server is one as RTCPeerConnection takes it (W3C WebRTC 1.0, section 4.2.4).
type server struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// without returns servers that need no credentials; nil if there are none.
func without(stun []string) signal.ICEServers {
	if len(stun) == 0 {
		return nil
	}
	all := encode(server{URLs: stun})
	return func(signal.UserName, lane.Instant) signal.ICE { return signal.ICE{Servers: all} }
}

// with returns servers with a user's credentials for those of TURN.
func with(stun, turn []string, secret []byte, lifetime time.Duration) signal.ICEServers {
	return func(user signal.UserName, now lane.Instant) signal.ICE {
		relay := server{URLs: turn}
		relay.Username, relay.Credential = Credential(secret, user, now, lifetime)
		all := []server{{URLs: stun}, relay}
		if len(stun) == 0 {
			all = all[1:]
		}
		return signal.ICE{Servers: encode(all...), Expires: lifetime}
	}
}

func encode(all ...server) []byte {
	b, _ := json.Marshal(all) // of strings alone, which never fails
	return b
}

// Credential returns a user name and a password that TURN servers with this secret
// take from now on for a lifetime, which they count in seconds
// (draft-uberti-behave-turn-rest-00, section 2.2; coturn, use-auth-secret).
func Credential(secret []byte, user signal.UserName, now lane.Instant, lifetime time.Duration) (username, password string) {
	expires := int64(now.Add(lifetime)) / int64(time.Second/time.Millisecond)
	username = strconv.FormatInt(expires, 10) + ":" + Pseudonym(secret, user)
	mac := hmac.New(sha1.New, secret)
	mac.Write([]byte(username))
	return username, base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// pseudonymSize is how many bytes of a hash tell users apart.
const pseudonymSize = 16

// Pseudonym returns the name by which TURN servers know a user: always the same, so
// that they can limit what one has. The name itself is not for them: TURN sends it in
// the clear, its server refuses many (coturn 4.6: with spaces, quotes, or words of
// SQL in them; RFC 8489, section 14.3: of more than 508 bytes), and what
// is not ASCII needs a preparation that clients leave out.
func Pseudonym(secret []byte, user signal.UserName) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(user))
	return hex.EncodeToString(mac.Sum(nil)[:pseudonymSize])
}
