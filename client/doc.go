// Package client is for Go programs that signal over owt-signal, those that use
// pion/webrtc for one. It speaks owt.signal.v1 (docs/protocol.md) and outlives
// its connections: it connects again when one is lost, renews one before its 2
// hours are over, and sends again under the same number what was not answered,
// so that the server delivers it once. How it behaves, and why, is in
// clients/SPEC.md. What it has missed while its network was away it asks the server for,
// which keeps it for some minutes. It is a module of its own, whose one dependency is
// github.com/coder/websocket.
//
//	c, err := client.Dial(ctx, "http://localhost:8095", client.Options{Token: "alice"})
//	…
//	err = c.Send(ctx, "bob", offer)
//	for m, err := range c.Messages(ctx) {
//		…
//	}
//
// What is promised on the way, and what is not, is in docs/guarantees.md. In
// short: what one client sends arrives in the order in which Send was called,
// once, or Send returns an error. That Send returns nil means that the service
// has accepted the message for a connection of the receiver, which, if it recovers as
// this client does, gets it though that connection was dead; whether the receiver's
// program has read it, only the receiver can say.
package client
