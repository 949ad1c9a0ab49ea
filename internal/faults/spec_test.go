package faults_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/owt-signal/owt-signal/internal/faults"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]faults.Spec{
		faults.Example: {
			Delay: 40 * time.Millisecond, Duplicate: 0.02, Crash: 0.01, Throttle: 0.01, LostDisconnect: 0.2,
			SlowStore: 20 * time.Millisecond, KeyLimit: 1000, Seed: 7,
		},
		"seed=0":                                {},
		"seed=18446744073709551615":             {Seed: math.MaxUint64},
		"delay=0,seed=1":                        {Seed: 1},
		"delay=1s,seed=1":                       {Delay: time.Second, Seed: 1},
		"delay=1ns,seed=1":                      {Delay: 1, Seed: 1},
		"slow-store=0s,seed=1":                  {Seed: 1},
		"seed=1,slow-store=1000ms":              {SlowStore: faults.MaxDelay, Seed: 1},
		"duplicate=0,crash=1,seed=1":            {Crash: 1, Seed: 1},
		"key-limit=0,seed=1":                    {Seed: 1},
		"key-limit=1000000,seed=1":              {KeyLimit: faults.MaxKeyLimit, Seed: 1},
		"throttle=1.0,seed=1,duplicate=1":       {Throttle: 1, Duplicate: 1, Seed: 1},
		"lost-disconnect=1e-3,seed=1":           {LostDisconnect: 0.001, Seed: 1},
		"lost-disconnect=1,crash=0.0001,seed=1": {LostDisconnect: 1, Crash: 0.0001, Seed: 1},
	} {
		got, err := faults.Parse(text)
		if err != nil || *got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseNothing(t *testing.T) {
	if s, err := faults.Parse(""); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
}

func TestParseRefuses(t *testing.T) {
	const duration, probability, seed = "must be a duration from 0 to 1s", "must be a probability from 0 to 1", "must be a whole number from 0 to 18446744073709551615"
	const units = "must be a whole number from 0 to 1000000"
	for text, want := range map[string]string{
		"delays=40ms":               `unknown setting "delays": there are delay, duplicate, crash, throttle, lost-disconnect, slow-store, key-limit, seed`,
		",":                         `unknown setting ""`,
		"delay=1ms,":                `unknown setting ""`,
		"delay=1ms, seed=1":         `unknown setting " seed"`,
		"Delay=1ms":                 `unknown setting "Delay"`,
		"delay=1ms,delay=1ms":       "delay is given twice",
		"seed=1,crash=1,seed=":      "seed is given twice",
		"delay":                     duration,
		"delay=":                    duration,
		"delay=40":                  duration,
		"delay=-1ns":                duration,
		"delay=1000000001ns":        duration,
		"slow-store=1.001s":         duration,
		"slow-store=1h":             duration,
		"slow-store=-0.5s":          duration,
		"slow-store=9999999h":       duration,
		"delay=1ms=2ms":             duration,
		"crash=1.0000001":           probability,
		"crash=-0.0000001":          probability,
		"duplicate=NaN":             probability,
		"duplicate=Inf":             probability,
		"throttle=1%":               probability,
		"throttle=":                 probability,
		"lost-disconnect=2":         probability,
		"lost-disconnect=-1":        probability,
		"key-limit=-1":              units,
		"key-limit=1000001":         units,
		"key-limit=1.5":             units,
		"key-limit=":                units,
		"seed=-1":                   seed,
		"seed=1.5":                  seed,
		"seed=":                     seed,
		"seed=0x7":                  seed,
		"seed=18446744073709551616": seed,
	} {
		got, err := faults.Parse(text)
		if err == nil || got != nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, error %v; want %s", text, got, err, want)
		}
	}
}

func TestParseDrawsASeed(t *testing.T) {
	seeds := make(map[uint64]bool)
	for range 8 {
		s, err := faults.Parse("delay=1ms")
		if err != nil {
			t.Fatal(err)
		}
		seeds[s.Seed] = true
	}
	if len(seeds) < 4 {
		t.Errorf("seeds %v", seeds)
	}
}

func TestStringIsParsedBack(t *testing.T) {
	if s, err := faults.Parse(faults.Example); err != nil || s.String() != faults.Example {
		t.Errorf("%s, %v", s, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		probability, delay := rapid.Float64Range(0, 1), rapid.Int64Range(0, int64(faults.MaxDelay))
		s := faults.Spec{
			Delay:          time.Duration(delay.Draw(t, "delay")),
			Duplicate:      probability.Draw(t, "duplicate"),
			Crash:          probability.Draw(t, "crash"),
			Throttle:       probability.Draw(t, "throttle"),
			LostDisconnect: probability.Draw(t, "lost-disconnect"),
			SlowStore:      time.Duration(delay.Draw(t, "slow-store")),
			KeyLimit:       rapid.IntRange(0, faults.MaxKeyLimit).Draw(t, "key limit"),
			Seed:           rapid.Uint64().Draw(t, "seed"),
		}
		got, err := faults.Parse(s.String())
		if err != nil || *got != s {
			t.Fatalf("%s: %v, %v", s, got, err)
		}
	})
}

// Whoever asks for help is told of every setting.
func TestUsageIsComplete(t *testing.T) {
	var told []string
	for line := range strings.Lines(faults.Usage()) {
		told = append(told, strings.Fields(line)[0])
	}
	for setting := range strings.SplitSeq(faults.Example, ",") {
		if name, _, _ := strings.Cut(setting, "="); !slices.Contains(told, name) {
			t.Errorf("usage does not say what %s does", name)
		}
	}
}
