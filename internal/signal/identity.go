package signal

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
	"github.com/owt-signal/owt-signal/internal/versions"
)

// What an authenticator is asked and may answer, at most, in bytes where not
// said otherwise.
const (
	// MaxToken is the longest token. The longest that large issuers are known to
	// make, with hundreds of groups in them, stay below it.
	MaxToken = 8 << 10
	// MaxClient is what is kept of a handshake together. With it the record of a
	// connection still fits into one of DynamoDB's write units of 1 KB, or two.
	MaxClient = 1 << 10
	// MaxAttributes is how many attributes an identity may have, and
	// MaxAttributesSize how long their names and values may be together.
	MaxAttributes     = 16
	MaxAttributesSize = 1 << 10
)

// Credentials is what a client brings to show who it is.
type Credentials struct {
	Token string
	// Client is what its handshake said, if the authenticator [Needs] it.
	Client Client
}

// Client is what a handshake says beside a token. All but the address is the
// client's own word for it.
type Client struct {
	Type    string            // Web, Android, …: of OWT's SDKs up to 4.3.1
	Version string            // empty if it says none
	Address string            // the IP address that it comes from
	Headers map[string]string // those that were asked for, by their names in lower case
}

// Len returns how much is to be kept of c, in bytes.
func (c Client) Len() int {
	n := len(c.Type) + len(c.Version) + len(c.Address)
	for name, value := range c.Headers {
		n += len(name) + len(value)
	}
	return n
}

// IsText reports whether all that c says is what the client has said: UTF-8, and
// nowhere a U+FFFD in the place of something else.
func (c Client) IsText() bool {
	for _, value := range c.Headers {
		if !isText(value) {
			return false
		}
	}
	return isText(c.Type) && isText(c.Version)
}

// Needs is what an authenticator wants to know beside the token. Clients may
// send their token long after the handshake, so what it needs of that is kept
// in the connection's record.
type Needs struct {
	Client  bool
	Headers []string // by their names in lower case; none without Client
}

// Identity is who a client is.
type Identity struct {
	User UserName
	// Expires is when the connection must end, at the latest; zero: with the
	// socket.
	Expires lane.Instant
	// Attributes are kept in the connection's record. The service itself makes use of
	// [AttributeWatch] alone.
	Attributes map[string]string
}

// Check returns an error if id is not an identity that the service accepts.
func (id Identity) Check() error {
	if err := CheckUserName(id.User); err != nil {
		return err
	}
	if id.User.Backend() {
		return errReserved
	}
	size := 0
	for name, value := range id.Attributes {
		if name == "" || !isText(name) || !isText(value) {
			return errors.New("check identity: an attribute has no name, or is not UTF-8")
		}
		size += len(name) + len(value)
	}
	if len(id.Attributes) > MaxAttributes || size > MaxAttributesSize {
		return fmt.Errorf("check identity: %d attributes of %d bytes, at most %d of %d are allowed",
			len(id.Attributes), size, MaxAttributes, MaxAttributesSize)
	}
	return nil
}

// Access is who may connect, and as what. The zero value refuses everybody.
type Access struct {
	Authenticator Authenticator // nil: no token is accepted
	// Anonymous accepts clients without a token, each under a name made up.
	Anonymous bool
	Sources   Sources         // nil: all
	Versions  versions.Policy // zero: versions.Default
	// Caution is a warning for whoever runs the service, logged once.
	Caution string
}

// OpenAccess is that of OWT's reference server: anyone can be anyone.
var OpenAccess = Access{Authenticator: TokenIsName{}, Anonymous: true}

// Needs returns what the authenticator wants to know beside the token.
func (a Access) Needs() Needs {
	if a.Authenticator == nil {
		return Needs{}
	}
	return a.Authenticator.Needs()
}

// Source is a way for a token to travel.
type Source string

// The ways there are.
const (
	SourceEvent       Source = "event"       // the event authentication of OWT's SDKs 5.x
	SourceAuth        Source = "auth"        // the data of a CONNECT: Socket.IO 3 and later have it for credentials
	SourceHeader      Source = "header"      // Authorization: Bearer, of the handshake
	SourceSubprotocol Source = "subprotocol" // Sec-WebSocket-Protocol, of the handshake: browsers set no other header
	SourceQuery       Source = "query"       // of the handshake: OWT's SDKs up to 4.3.1
)

// AllSources are the ways there are.
var AllSources = Sources{SourceEvent, SourceAuth, SourceHeader, SourceSubprotocol, SourceQuery}

// Sources are the ways that are accepted; nil: all. A token that comes another
// way counts as not given.
type Sources []Source

// Accept reports whether a token may come that way.
func (s Sources) Accept(way Source) bool { return s == nil || slices.Contains(s, way) }

// anonymousUser makes up a name.
func (s *Service) anonymousUser() UserName {
	var id [16]byte
	s.Random(id[:])
	return UserName(hex.EncodeToString(id[:]) + anonymous)
}
