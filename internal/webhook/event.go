package webhook

import (
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// Kind is what has happened to a connection of a user.
type Kind string

// The kinds of events.
const (
	Connected  Kind = "connected"  // it owns the user's name
	Left       Kind = "left"       // it owns the name no longer, and nobody does
	Superseded Kind = "superseded" // it has lost the name to another, which is connected next
)

// Event is what a server is told of.
type Event struct {
	ID         string              `json:"id"` // the same each time that it is told
	Kind       Kind                `json:"type"`
	User       signal.UserName     `json:"user"`
	Connection signal.ConnectionID `json:"connection"`
	At         time.Time           `json:"at"`
	// Order is greater, as a text, than that of all events of the user before.
	Order string `json:"order"`
}

// Change is one name's change of owner, from which events follow.
type Change struct {
	ID     string // unique
	User   signal.UserName
	Was    signal.ConnectionID // empty: nobody
	Is     signal.ConnectionID // empty: nobody
	At     time.Time
	Number string // of the change, in digits: rises for each user
}

// Events returns what a change means, in order; nothing, if the owner is the same.
func (c Change) Events() []Event {
	var all []Event
	add := func(k Kind, id signal.ConnectionID) {
		all = append(all, Event{
			ID: fmt.Sprintf("%s-%d", c.ID, len(all)), Kind: k, User: c.User, Connection: id, At: c.At.UTC(),
			Order: fmt.Sprintf("%0*s%d", maxNumber, c.Number, len(all)),
		})
	}
	switch {
	case c.Was == c.Is:
		return nil
	case c.Is == "":
		add(Left, c.Was)
		return all
	case c.Was != "":
		add(Superseded, c.Was)
	}
	add(Connected, c.Is)
	return all
}

// maxNumber is how many digits a change's number may have: as the sequence numbers
// of DynamoDB Streams (StreamRecord, "Amazon DynamoDB Streams API Reference").
const maxNumber = 40
