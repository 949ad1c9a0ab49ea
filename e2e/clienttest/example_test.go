package clienttest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/owt-signal/owt-signal/client"
)

// offer is whatever a program has to tell its peer: pion's
// webrtc.SessionDescription goes as well.
type offer struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

// Two users talk.
func Example() {
	url := exampleServer()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	alice, err := client.Dial(ctx, url, client.Options{Token: "alice"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer alice.Close()
	bob, err := client.Dial(ctx, url, client.Options{Token: "bob"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bob.Close()

	if err := alice.Send(ctx, "bob", offer{"offer", "v=0"}); err != nil {
		fmt.Println(err)
	}
	m, err := bob.Receive(ctx)
	fmt.Printf("%s to %s: %s %v\n", m.From, bob.User(), m.Data, err)
	// Output: alice to bob: {"type":"offer","sdp":"v=0"} <nil>
}

// Whoever waits for calls reads until the client ends.
func ExampleClient_Messages() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	bob, err := client.Dial(ctx, exampleServer(), client.Options{
		Token:   "bob",
		OnState: func(s client.State, err error) { slog.Debug("signaling", "state", s, "reason", err) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := bob.Send(ctx, "bob", "to myself"); err != nil {
		fmt.Println(err)
	}
	for m, err := range bob.Messages(ctx) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Printf("%s: %s\n", m.From, m.Data)
		_ = bob.Close()
	}
	// Output:
	// bob: "to myself"
	// client is closed
}

// What an error of Send means.
func ExampleClient_Send() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	alice, err := client.Dial(ctx, exampleServer(), client.Options{Token: "alice"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer alice.Close()

	err = alice.Send(ctx, "nobody", "hello")
	answer, refused := errors.AsType[*client.Error](err)
	switch {
	case err == nil:
		fmt.Println("accepted for a live connection of the receiver")
	case errors.Is(err, client.ErrUnknown):
		fmt.Println("may have been delivered")
	case refused && answer.Code == client.CodeUnreachable:
		fmt.Println("not delivered:", answer)
	default:
		fmt.Println("not delivered, for another reason:", err)
	}
	// Output: not delivered: 2201: the receiver is not online
}

// Who comes and goes, until the loop is left.
func ExampleClient_Watch() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	alice, err := client.Dial(ctx, exampleServer(), client.Options{Token: "alice"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer alice.Close()
	bob, err := client.Dial(ctx, exampleServer(), client.Options{Token: "bob"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for online, err := range alice.Watch(ctx, "bob") {
		fmt.Println(online, err)
		if !online {
			break
		}
		_ = bob.Close()
	}
	// Output:
	// true <nil>
	// false <nil>
}

// Whom there is to talk to.
func ExampleClient_Presence() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	alice, err := client.Dial(ctx, exampleServer(), client.Options{Token: "alice"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer alice.Close()
	fmt.Println(alice.Presence(ctx, "alice"))
	fmt.Println(alice.Presence(ctx, "bob"))
	// Output:
	// true <nil>
	// false <nil>
}
