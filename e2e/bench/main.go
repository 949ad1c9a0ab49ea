// Command bench measures owt-signal and a plain Socket.IO server on Node.js with
// the same load, in turn, on one machine. `make bench` builds what it needs.
//
// The load comes from this process, which checks, while it measures, that each
// message arrives once and in order.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// all is the loads, the one that the aims are about first.
var all = []load{
	{pairs: 100, window: 8, payload: 100},
	{pairs: 10, window: 32, payload: 100},
	{pairs: 10, window: 32, payload: 2000},
	{pairs: 10, window: 1, payload: 100},
	{pairs: 1, window: 1, payload: 100},
}

// contender is a server and how to talk to it.
type contender struct {
	name    string
	dialect *dialect
	command []string
}

func run(args []string) error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	owt := fs.String("owt", "../bin/owt-signal", "the binary of owt-signal")
	reference := fs.String("reference", "bench/reference/server.mjs", "the server for Node.js")
	rounds := fs.Int("rounds", 5, "how often each server is measured")
	seconds := fs.Float64("seconds", 4, "how long each time, after a warm-up of a quarter of that")
	settle := fs.Duration("settle", 5*time.Second, "how long idle connections are idle before the memory is measured")
	only := fs.String("only", "", "measure only contenders whose name has this in it")
	loads := fs.Int("loads", len(all), "how many of the loads to measure")
	connections := fs.Int("connections", 10_000, "idle connections; 0: do not measure them")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *loads < 0 || *loads > len(all) {
		return fmt.Errorf("-loads: there are %d", len(all))
	}
	owtSignal := []string{*owt, "-plain", "127.0.0.1:0", "-secure", "off", "-log", "error", "-max-per-address", "20000"} // all clients are on this machine
	contenders := []contender{
		{"node", &socketIO, []string{"node", *reference}},
		{"owt-signal, Socket.IO", &socketIO, owtSignal},
		{"owt-signal, JSON", &plainJSON, owtSignal},
	}
	contenders = slices.DeleteFunc(contenders, func(c contender) bool { return !strings.Contains(c.name, *only) })
	if len(contenders) == 0 {
		return fmt.Errorf("nobody is called %q", *only)
	}
	measure := time.Duration(*seconds * float64(time.Second))
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Printf("load average before: %s", load)
	}
	for _, l := range all[:*loads] {
		l.measure, l.warmup = measure, measure/4
		err := compare(l.String(), contenders, *rounds, l.run, []column[result]{
			{"messages/s", func(r result) float64 { return r.rate }, whole, "messages/s"},
			{"p50", func(r result) float64 { return float64(r.p50) }, duration, ""},
			{"p99", func(r result) float64 { return float64(r.p99) }, duration, "p99"},
			{"server CPU per message", func(r result) float64 { return float64(r.cpu) }, duration, "CPU"},
		})
		if err != nil {
			return err
		}
	}
	if *connections == 0 {
		return nil
	}
	idle := idle{*connections, *settle}
	return compare(idle.String(), contenders, *rounds, idle.run, []column[idleResult]{
		{"connects/s", func(r idleResult) float64 { return r.rate }, whole, "connects/s"},
		{"KB per connection", func(r idleResult) float64 { return r.memory / 1000 }, tenths, "memory"},
	})
}

// column is a figure of a result, and how it is printed.
type column[R any] struct {
	name  string
	of    func(R) float64
	text  func(float64) string
	ratio string // what the ratio to the first contender's is called; empty: none
}

// compare measures the contenders in turn, each round on a server of its own, and
// prints for each the median of the rounds, and of the ratios to the first within
// a round.
func compare[R any](what string, contenders []contender, rounds int, measure func(*server, *dialect) (R, error), columns []column[R]) error {
	results := make([][]R, len(contenders))
	for range rounds {
		for i, c := range contenders {
			s, err := start(c.command...)
			if err != nil {
				return err
			}
			r, err := measure(s, c.dialect)
			s.stop()
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.name, what, err)
			}
			results[i] = append(results[i], r)
		}
	}
	head, ratio := "server", "\tratios to "+contenders[0].name+": "
	for _, c := range columns {
		head += "\t" + c.name
	}
	for _, c := range columns {
		if c.ratio != "" {
			head += ratio + c.ratio
			ratio = "\t"
		}
	}
	fmt.Printf("\n%s\n", what)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, head)
	for i, contender := range contenders {
		fmt.Fprint(t, contender.name)
		for _, c := range columns {
			fmt.Fprint(t, "\t", c.text(median(results[i], c.of)))
		}
		for _, c := range columns {
			if i > 0 && c.ratio != "" {
				fmt.Fprint(t, "\t", ratios(results[i], results[0], c.of))
			}
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func median[R any](rs []R, of func(R) float64) float64 {
	values := make([]float64, len(rs))
	for i, r := range rs {
		values[i] = of(r)
	}
	slices.SortFunc(values, cmp.Compare)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

func whole(v float64) string { return fmt.Sprintf("%.0f", v) }

func tenths(v float64) string { return fmt.Sprintf("%.1f", v) }

func duration(v float64) string {
	d := time.Duration(v)
	return d.Round(max(d/1000, 1) * 10).String()
}

// ratios is the median of the ratios within each round, and between which two
// they lie.
func ratios[R any](rs, to []R, of func(R) float64) string {
	values := make([]float64, len(rs))
	for i := range rs {
		values[i] = of(rs[i]) / of(to[i])
	}
	m := median(values, func(v float64) float64 { return v })
	return fmt.Sprintf("%.2f (%.2f to %.2f)", m, slices.Min(values), slices.Max(values))
}
