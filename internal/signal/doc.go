// Package signal is the domain: who is connected under which name, and how a
// message gets from one connection to another, in order, once, or not at all
// with an error to the sender.
//
// It knows no AWS, no Socket.IO and no clock of its own. What it decides about
// the order of a connection's messages it decides in pure functions over a
// [Lane]; what it needs of the world it asks of its ports: a [Store] for
// records, a [Pusher] for sockets, an [Authenticator] for names, a [Clock].
package signal
