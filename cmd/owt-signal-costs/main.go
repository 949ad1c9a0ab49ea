// Command owt-signal-costs prints what the service costs on AWS, by list prices
// (internal/costs).
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/owt-signal/owt-signal/internal/costs"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "owt-signal-costs: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	u := costs.Default
	fs := flag.NewFlagSet("owt-signal-costs", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Float64Var(&u.Users, "users", u.Users, "how many users there are")
	fs.Float64Var(&u.Calls, "calls", u.Calls, "calls that each of them makes in a month")
	fs.Float64Var(&u.Signals, "signals", u.Signals, "signals of a call, both sides together")
	fs.IntVar(&u.Burst, "burst", u.Burst, "signals that a side sends at once, 1 to 100")
	fs.Float64Var(&u.Hours, "hours", u.Hours, "hours that each user is connected in a month, of 730")
	fs.Float64Var(&u.Heartbeat, "heartbeat", u.Heartbeat, "minutes between two pings")
	fs.Float64Var(&u.Bytes, "bytes", u.Bytes, "of a signal's data")
	fs.BoolVar(&u.Frames, "frames", u.Frames, "a side puts what it sends at once into one frame, as the JSON clients of this repository do")
	metered := fs.Bool("metered", false, "what AWS meters of one of each, instead of the month's dollars")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case fs.NArg() > 0 || u.Burst < 1 || u.Burst > 100 || u.Heartbeat <= 0:
		return errors.New("there is an argument, a burst beyond 1 to 100, or no time between two pings")
	}
	table := u.Priced
	if *metered {
		table = u.Metered
	}
	_, err := io.WriteString(out, table())
	return err
}
