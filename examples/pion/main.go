// Command pion opens a WebRTC data channel between two programs that find each
// other through owt-signal. Start the server, one who waits, and one who calls:
//
//	go run ./cmd/owt-signal
//	cd examples/pion
//	go run . -user bob
//	go run . -user alice -call bob
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/pion/webrtc/v4"

	"github.com/owt-signal/owt-signal/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "pion: %v\n", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

// run talks to one peer and returns when they have parted.
func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("pion", flag.ContinueOnError)
	url := fs.String("url", "http://localhost:8095", "of the signaling server")
	user := fs.String("user", "", "`name` to be known by; without one, the server makes one up")
	call := fs.String("call", "", "`name` of the user to call; without one, wait for a call")
	loopback := fs.Bool("loopback", false, "use the loopback interface, too")
	if err := fs.Parse(args); err != nil {
		return err
	}

	c, err := client.Dial(ctx, *url, client.Options{Token: *user, Anonymous: *user == ""})
	if err != nil {
		return err
	}
	defer c.Close()

	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(*loopback)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	p, err := newPeer(ctx, c, *call, webrtc.NewAPI(webrtc.WithSettingEngine(settings)), out)
	if err != nil {
		return err
	}
	defer p.Close()
	if *call != "" {
		if err := p.call(); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "%s waits for a call\n", c.User())
	}
	return p.talk(ctx)
}
