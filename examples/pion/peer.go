package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/pion/webrtc/v4"

	"github.com/owt-signal/owt-signal/client"
)

// hint is what the two tell each other through the server: a description or a
// candidate.
type hint struct {
	Description *webrtc.SessionDescription `json:"description,omitempty"`
	Candidate   *webrtc.ICECandidateInit   `json:"candidate,omitempty"`
}

// peer is this side of a call.
type peer struct {
	*webrtc.PeerConnection
	client *client.Client
	out    io.Writer
	other  string        // the user on the other side; empty: not known yet
	failed chan error    // has room for one
	over   chan struct{} // closed when the two have parted
	part   func()        // closes over
}

func newPeer(ctx context.Context, c *client.Client, other string, api *webrtc.API, out io.Writer) (*peer, error) {
	servers, err := c.IceServers(ctx)
	if err != nil {
		return nil, err
	}
	var configuration webrtc.Configuration
	for _, s := range servers {
		configuration.ICEServers = append(configuration.ICEServers, webrtc.ICEServer{URLs: s.URLs, Username: s.Username, Credential: s.Credential})
	}
	pc, err := api.NewPeerConnection(configuration)
	if err != nil {
		return nil, err
	}
	p := &peer{PeerConnection: pc, client: c, out: out, other: other, failed: make(chan error, 1), over: make(chan struct{})}
	p.part = sync.OnceFunc(func() { close(p.over) })
	pc.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		if candidate != nil { // nil: there are no more
			init := candidate.ToJSON()
			p.send(hint{Candidate: &init})
		}
	})
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateFailed:
			p.fail(fmt.Errorf("no way to %s was found", p.other))
		case webrtc.PeerConnectionStateClosed:
			p.part()
		}
	})
	pc.OnDataChannel(func(d *webrtc.DataChannel) {
		d.OnMessage(func(m webrtc.DataChannelMessage) {
			fmt.Fprintf(out, "%s says: %s\n", p.other, m.Data)
			p.say(d, "hello "+p.other)
		})
		d.OnClose(p.part)
	})
	return p, nil
}

// send queues a hint. Hints arrive in the order in which they are queued, so the
// other side has a description before the candidates that belong to it. If one is
// lost the call is, too.
func (p *peer) send(s hint) {
	wait := p.client.Queue(p.other, s)
	go func() {
		if err := wait(context.Background()); err != nil {
			p.fail(err)
		}
	}()
}

// describe tells the other side of an offer or an answer, and begins to look for
// candidates.
func (p *peer) describe(d webrtc.SessionDescription, err error) error {
	if err != nil {
		return err
	}
	p.send(hint{Description: &d})
	return p.SetLocalDescription(d)
}

// call offers a data channel, says something on it, and parts when the other has
// answered.
func (p *peer) call() error {
	d, err := p.CreateDataChannel("talk", nil)
	if err != nil {
		return err
	}
	d.OnOpen(func() { p.say(d, "this is "+p.client.User()) })
	d.OnMessage(func(m webrtc.DataChannelMessage) {
		fmt.Fprintf(p.out, "%s says: %s\n", p.other, m.Data)
		p.part()
	})
	return p.describe(p.CreateOffer(nil))
}

func (p *peer) say(d *webrtc.DataChannel, text string) {
	if err := d.SendText(text); err != nil {
		p.fail(err)
	}
}

// talk follows the other side's hints until the two have parted.
func (p *peer) talk(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for {
			m, err := p.client.Receive(ctx)
			if err == nil {
				err = p.follow(m)
			}
			if err != nil {
				p.fail(err)
				return
			}
		}
	}()
	select {
	case <-p.over:
		return nil
	case err := <-p.failed:
		select {
		case <-p.over: // what fails now does not matter
			return nil
		default:
			return err
		}
	}
}

// follow does what a hint asks for. Those of others than the one on the other
// side are not for this call.
func (p *peer) follow(m client.Message) error {
	var h hint
	if err := json.Unmarshal(m.Data, &h); err != nil {
		return fmt.Errorf("read a hint of %s: %w", m.From, err)
	}
	if p.other == "" && h.Description != nil {
		p.other = m.From
	}
	switch {
	case m.From != p.other:
		return nil
	case h.Candidate != nil:
		return p.AddICECandidate(*h.Candidate)
	case h.Description == nil:
		return nil
	}
	if err := p.SetRemoteDescription(*h.Description); err != nil {
		return err
	}
	if h.Description.Type == webrtc.SDPTypeOffer {
		return p.describe(p.CreateAnswer(nil))
	}
	return nil
}

func (p *peer) fail(err error) {
	select {
	case p.failed <- err:
	default: // there is an error already
	}
}
