// Command owt-signal-costs says what the service costs on AWS, by list prices
// (internal/costs).
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

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
	fs.IntVar(&u.Burst, "burst", u.Burst, "signals that a side sends at once")
	fs.Float64Var(&u.Hours, "hours", u.Hours, "hours that each user is connected in a month, of 730")
	fs.StringVar(&u.Client, "client", u.Client, "`kind` of clients: 5 (SDK 5.x, JavaScript), 4 (SDK 4.x) or json")
	fs.DurationVar(&u.Session, "session", u.Session, "how long a connection lasts, 2h at most")
	fs.DurationVar(&u.Heartbeat, "heartbeat", u.Heartbeat, "between two pings")
	fs.Float64Var(&u.Bytes, "bytes", u.Bytes, "of a signal's data")
	fs.Float64Var(&u.MemoryMB, "memory", u.MemoryMB, "of the functions, in `MB`")
	fs.DurationVar(&u.Own, "invocation", u.Own, "that an invocation takes by itself, besides waiting for DynamoDB and API Gateway")
	table := fs.String("table", "", "print this `table` alone: "+strings.Join(costs.TableNames, ", "))
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err := u.Check(); err != nil {
		return err
	}
	names := costs.TableNames
	if *table != "" {
		names = []string{*table}
	}
	for i, name := range names {
		t, err := u.Table(name)
		if err != nil {
			return err
		}
		if i > 0 {
			t = "\n" + t
		}
		if _, err := io.WriteString(out, t); err != nil {
			return err
		}
	}
	return nil
}
