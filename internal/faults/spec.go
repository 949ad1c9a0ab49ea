package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxDelay is the longest delay of a single call, inclusive: what a post has
// until it is given up (lane.PostWithin), and well below the time after which an
// invocation that has taken a lane counts as dead (lane.LeaseTimeout).
const MaxDelay = time.Second

// MaxKeyLimit is the highest limit of a key: more than a local DynamoDB serves.
const MaxKeyLimit = 1_000_000

// Spec says which faults there are. The zero value of each field turns its
// fault off.
type Spec struct {
	// Delay is up to how much later each invocation begins, and each
	// @connections operation has its effect or answers: 0 to MaxDelay.
	Delay time.Duration
	// Duplicate is the probability that a message's invocation runs twice.
	Duplicate float64
	// Crash is the probability that an invocation dies at a random step.
	Crash float64
	// Throttle is the probability that a request to post is answered 429.
	Throttle float64
	// LostDisconnect is the probability that a $disconnect never happens.
	LostDisconnect float64
	// SlowStore is up to how much later each call of the store has its effect
	// or answers: 0 to MaxDelay.
	SlowStore time.Duration
	// KeyLimit is how many write units each key of the table serves in a second,
	// and three times as many read units: 0 to MaxKeyLimit.
	KeyLimit int
	// Seed fixes the random decisions.
	Seed uint64
}

// knob is a setting of a spec.
type knob struct {
	key, usage string
	field      any // a pointer to the field of the spec
}

// knobs returns the settings, in the order in which they are written.
func (s *Spec) knobs() []knob {
	return []knob{
		{"delay", "each invocation and each post is late by up to that, at random", &s.Delay},
		{"duplicate", "with that probability a message's invocation runs twice", &s.Duplicate},
		{"crash", "with that probability an invocation dies at a random step", &s.Crash},
		{"throttle", "with that probability a post is answered 429", &s.Throttle},
		{"lost-disconnect", "with that probability a $disconnect never comes", &s.LostDisconnect},
		{"slow-store", "each store call is late by up to that, at random", &s.SlowStore},
		{"key-limit", "each key of the DynamoDB serves so many write units a second (AWS: 1000), and three times as many read units", &s.KeyLimit},
		{"seed", "a number: the same random decisions again", &s.Seed},
	}
}

// Example is a spec with every setting, as [Parse] reads it.
const Example = "delay=40ms,duplicate=0.02,crash=0.01,throttle=0.01,lost-disconnect=0.2,slow-store=20ms,key-limit=1000,seed=7"

// Usage says what each setting does, in words for whoever uses it.
func Usage() string {
	var lines []string
	for _, k := range new(Spec).knobs() {
		lines = append(lines, fmt.Sprintf("  %-15s  %s", k.key, k.usage))
	}
	return strings.Join(lines, "\n")
}

// Parse reads settings separated by commas, such as [Example], each at most
// once. Without a seed, it draws one. No settings at all are nil.
func Parse(text string) (*Spec, error) {
	if text == "" {
		return nil, nil
	}
	s := &Spec{Seed: uint64(rand.Uint32())} // short enough to be typed
	var keys []string
	left := make(map[string]any) // fields that are not given yet
	for _, k := range s.knobs() {
		keys, left[k.key] = append(keys, k.key), k.field
	}
	for setting := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(setting, "=")
		field, ok := left[key]
		switch {
		case !ok && slices.Contains(keys, key):
			return nil, fmt.Errorf("%s is given twice", key)
		case !ok:
			return nil, fmt.Errorf("unknown setting %q: there are %s", key, strings.Join(keys, ", "))
		}
		delete(left, key)
		if err := set(field, value); err != nil {
			return nil, fmt.Errorf("%s %w", key, err)
		}
	}
	return s, nil
}

// String is the spec as [Parse] reads it, with what is turned on, and the seed.
func (s Spec) String() string {
	var all []string
	for _, k := range s.knobs() {
		value := reflect.ValueOf(k.field).Elem()
		if !value.IsZero() || k.field == &s.Seed {
			all = append(all, fmt.Sprintf("%s=%v", k.key, value))
		}
	}
	return strings.Join(all, ",")
}

// What a value must be.
var (
	errDuration    = fmt.Errorf("must be a duration from 0 to %v, such as 40ms", MaxDelay)
	errProbability = errors.New("must be a probability from 0 to 1, such as 0.01")
	errKeyLimit    = fmt.Errorf("must be a whole number from 0 to %d, such as 1000", MaxKeyLimit)
	errSeed        = errors.New("must be a whole number from 0 to 18446744073709551615")
)

func set(field any, value string) error {
	switch field := field.(type) {
	case *time.Duration:
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 || d > MaxDelay {
			return errDuration
		}
		*field = d
	case *float64:
		p, err := strconv.ParseFloat(value, 64)
		if err != nil || !(p >= 0 && p <= 1) { // which NaN is not
			return errProbability
		}
		*field = p
	case *int:
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > MaxKeyLimit {
			return errKeyLimit
		}
		*field = n
	case *uint64:
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return errSeed
		}
		*field = n
	}
	return nil
}
