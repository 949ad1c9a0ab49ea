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
	owt := fs.String("owt", "bin/owt-signal", "the binary of owt-signal")
	reference := fs.String("reference", "e2e/bench/reference/server.mjs", "the server for Node.js")
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
	owtSignal := []string{*owt, "-plain", "127.0.0.1:0", "-secure", "", "-log", "error"}
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
		if err := compare(l, contenders, *rounds); err != nil {
			return err
		}
	}
	if *connections == 0 {
		return nil
	}
	return compareIdle(contenders, *connections, *settle, *rounds)
}

// compare measures the contenders in turn, and prints for each the median of the
// rounds, and of the ratios to the first within a round.
func compare(l load, contenders []contender, rounds int) error {
	results := make([][]result, len(contenders))
	for round := range rounds {
		for i, c := range contenders {
			r, err := measureOnce(c, l, fmt.Sprint(round))
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.name, l, err)
			}
			results[i] = append(results[i], r)
		}
	}
	fmt.Printf("\n%s\n", l)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "server\tmessages/s\tp50\tp99\tserver CPU per message\tratios to "+contenders[0].name+": messages/s\tp99\tCPU")
	for i, c := range contenders {
		rs := results[i]
		fmt.Fprintf(t, "%s\t%.0f\t%v\t%v\t%v", c.name,
			median(rs, func(r result) float64 { return r.rate }),
			duration(rs, func(r result) time.Duration { return r.p50 }),
			duration(rs, func(r result) time.Duration { return r.p99 }),
			duration(rs, func(r result) time.Duration { return r.cpu }))
		if i > 0 {
			fmt.Fprintf(t, "\t%s\t%s\t%s", ratios(rs, results[0], func(r result) float64 { return r.rate }),
				ratios(rs, results[0], func(r result) float64 { return float64(r.p99) }),
				ratios(rs, results[0], func(r result) float64 { return float64(r.cpu) }))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func measureOnce(c contender, l load, prefix string) (result, error) {
	s, err := start(c.command...)
	if err != nil {
		return result{}, err
	}
	defer s.stop()
	return l.run(s, c.dialect, prefix)
}

func compareIdle(contenders []contender, connections int, settle time.Duration, rounds int) error {
	results := make([][]idleResult, len(contenders))
	for range rounds {
		for i, c := range contenders {
			s, err := start(c.command...)
			if err != nil {
				return err
			}
			r, err := idle(s, c.dialect, connections, settle)
			s.stop()
			if err != nil {
				return fmt.Errorf("%s, %d connections: %w", c.name, connections, err)
			}
			results[i] = append(results[i], r)
		}
	}
	fmt.Printf("\n%d idle connections\n", connections)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "server\tconnects/s\tKB per connection\tratios to "+contenders[0].name+": connects/s\tmemory")
	for i, c := range contenders {
		rs := results[i]
		fmt.Fprintf(t, "%s\t%.0f\t%.1f", c.name,
			median(rs, func(r idleResult) float64 { return r.rate }),
			median(rs, func(r idleResult) float64 { return r.memory / 1000 }))
		if i > 0 {
			fmt.Fprintf(t, "\t%s\t%s", ratios(rs, results[0], func(r idleResult) float64 { return r.rate }),
				ratios(rs, results[0], func(r idleResult) float64 { return r.memory }))
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

func duration(rs []result, of func(result) time.Duration) time.Duration {
	d := time.Duration(median(rs, func(r result) float64 { return float64(of(r)) }))
	return d.Round(max(d/1000, 1) * 10)
}

// ratios is the median of the ratios within each round, and between which two
// they lie.
func ratios[R any](rs, to []R, of func(R) float64) string {
	values := make([]float64, len(rs))
	for i := range rs {
		values[i] = of(rs[i]) / of(to[i])
	}
	m := median(values, func(v float64) float64 { return v })
	return strings.TrimSpace(fmt.Sprintf("%.2f (%.2f to %.2f)", m, slices.Min(values), slices.Max(values)))
}
