// Package app puts the parts together: the same handlers on a store, behind
// whatever serves as API Gateway.
package app

import (
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/jsonproto"
	"github.com/owt-signal/owt-signal/internal/limits"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
	"github.com/owt-signal/owt-signal/internal/socketio"
)

// What API Gateway takes ("Quotas for configuring and running a WebSocket API
// in API Gateway"); clients learn it from the first frame.
const (
	maxPayload = signal.MaxPost
	idle       = 10 * time.Minute
)

// Config is what differs between places to run at.
type Config struct {
	Store       signal.Store
	Connections apigw.Connections
	Endpoint    func(events.APIGatewayWebsocketProxyRequestContext) string
	Access      signal.Access       // zero: everybody is refused
	ICE         signal.ICEServers   // nil: there are none
	Backends    signal.BackendStore // nil: there is no API for backends
	Limits      limits.Config
	PlaceStore  signal.PlaceStore // nil: any number of invocations may linger
	Places      int               // how many may
	Kept        lane.Rate         // of what strangers say ([apigw.KeptRate]); zero: no limit
	Timers      Timers            // zero: NewTimers
	Meter       signal.Meter      // nil: nothing is counted
	Log         *slog.Logger
}

// New returns the handlers of the service.
func New(c Config) *apigw.Handler {
	if c.Timers == (Timers{}) {
		c.Timers = NewTimers()
	}
	eio3 := socketio.OWT{Version: socketio.EIO3, Heartbeat: c.Timers.Heartbeat, MaxPayload: maxPayload}
	eio4 := eio3
	eio4.Version = socketio.EIO4
	protocols := apigw.Protocols{
		signal.EIO3: eio3, signal.EIO3Unnumbered: eio3.Unnumber(),
		signal.EIO4: eio4, signal.EIO4Unnumbered: eio4.Unnumber(),
		signal.JSON: jsonproto.Protocol{Idle: c.Timers.Idle, MaxPayload: maxPayload},
	}
	pusher := apigw.Pusher{Connections: c.Connections, Protocols: protocols}
	return &apigw.Handler{
		Service: &signal.Service{
			Store:              c.Store,
			Pusher:             pusher,
			Prober:             pusher,
			Pings:              protocols.Pings,
			Alike:              apigw.Alike,
			Access:             c.Access,
			ICE:                c.ICE,
			Clock:              signal.SystemClock{},
			Random:             random,
			Rate:               c.Limits.Rate,
			AuthenticateWithin: c.Limits.AuthenticateWithin,
			RecoverFor:         c.Limits.RecoverFor,
			Refusals:           c.Backends,
			Backends:           c.Backends,
			PlaceStore:         c.PlaceStore,
			Places:             c.Places,
			PingRate:           c.Limits.PingRate,
			Meter:              c.Meter,
			Log:                c.Log,
		},
		Protocols:   protocols,
		Connections: c.Connections,
		Endpoint:    c.Endpoint,
		Origins:     c.Limits.Origins,
		Edge:        c.Limits.Edge,
		Idle:        c.Timers.Idle,
		Kept:        c.Kept,
		Log:         c.Log,
	}
}

// random fills b; crypto/rand's Read never fails.
func random(b []byte) { _, _ = rand.Read(b) }
