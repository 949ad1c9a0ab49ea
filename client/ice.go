package client

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// IceServer is a STUN or TURN server, as WebRTC's configuration takes it.
type IceServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// iceServers are what the server has told last.
type iceServers struct {
	servers []IceServer
	at      time.Time     // when it told them
	good    time.Duration // for how long from then on; zero: for ever
	next    chan struct{} // closed when it tells others; nil: nobody waits for them
}

// IceServers returns the STUN and TURN servers that the operator offers, which may be
// none. Those whose credentials have passed half of their life are asked for anew; what
// there is is returned all the same, while it is good, if the server does not answer or
// there is no connection. Otherwise it waits, for as long as ctx allows.
func (c *Client) IceServers(ctx context.Context) ([]IceServer, error) {
	for asked := false; ; {
		servers, k, good := c.goodIce(asked)
		if good {
			return servers, nil
		}
		var err error
		if asked = k != nil; asked {
			_, _, err = wait(ctx, c, k, c.askIce(k))
		} else {
			_, err = c.connected(ctx) // whose welcome brings others
		}
		if err != nil {
			return nil, fmt.Errorf("ask for ICE servers: %w", err)
		}
	}
}

// goodIce returns the servers, and whether they are good enough; if not, k is where to
// ask for others, if there is a connection.
func (c *Client) goodIce(asked bool) (servers []IceServer, k *connection, good bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	life := c.ice.good
	if c.current != nil && !asked {
		life /= 2
	}
	return slices.Clone(c.ice.servers), c.current, c.ice.good == 0 || time.Since(c.ice.at) < life
}

func (c *Client) askIce(k *connection) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ice.next == nil {
		c.ice.next = make(chan struct{})
	}
	k.ask(time.Now(), iceFrame)
	return c.ice.next
}

// take takes what a welcome says, or an answer.
func (i *iceServers) take(f frame, now time.Time) {
	i.servers, i.at, i.good = f.IceServers, now, time.Duration(f.IceExpires)*time.Second
	if i.next != nil {
		close(i.next)
		i.next = nil
	}
}
