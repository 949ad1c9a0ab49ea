// Package setting is how the parameters of the service are declared: once, for
// the environment of a function and for the flags of owt-signal.
package setting

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is one parameter.
type Setting struct {
	Variable string // in the environment of a function; empty there: not set
	Flag     string // of owt-signal; empty: none
	Usage    string // of the flag
	Set      func(value string) error
}

// New returns a setting; what is empty it does not have.
func New(variable, flag, usage string, set func(string) error) Setting {
	return Setting{Variable: variable, Flag: flag, Usage: usage, Set: set}
}

// FromEnvironment sets what an environment has a value for.
func FromEnvironment(getenv func(string) string, settings []Setting) error {
	for _, s := range settings {
		if v := getenv(s.Variable); v != "" {
			if err := s.Set(v); err != nil {
				return fmt.Errorf("read environment: %s: %w", s.Variable, err)
			}
		}
	}
	return nil
}

// Config is settings that go together.
type Config interface {
	Settings() []Setting
	// Check says what does not go together.
	Check() error
}

// Read sets what an environment has a value for, and checks that it goes together.
func Read(getenv func(string) string, c Config) error {
	if err := FromEnvironment(getenv, c.Settings()); err != nil {
		return err
	}
	return c.Check()
}

// Text sets a text for which every check returns nil.
func Text(to *string, checks ...func(string) error) func(string) error {
	return func(v string) error {
		*to = v
		for _, check := range checks {
			if err := check(v); err != nil {
				return err
			}
		}
		return nil
	}
}

// Parsed sets what parse makes of a value.
func Parsed[T any](to *T, parse func(string) (T, error)) func(string) error {
	return func(v string) (err error) {
		*to, err = parse(v)
		return err
	}
}

// Number sets a whole number from least to most.
func Number(to *int, least, most int) func(string) error {
	return Parsed(to, func(v string) (int, error) {
		n, err := strconv.Atoi(v)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("%q is not a whole number from %d to %d", v, least, most)
		}
		return n, nil
	})
}

// Duration sets a duration from least to most.
func Duration(to *time.Duration, least, most time.Duration) func(string) error {
	return Parsed(to, func(v string) (time.Duration, error) {
		d, err := time.ParseDuration(v)
		if err != nil || d < least || d > most {
			return 0, fmt.Errorf("%q is no duration from %v to %v", v, least, most)
		}
		return d, nil
	})
}

// Positive sets a duration of more than zero.
func Positive(to *time.Duration) func(string) error {
	return Parsed(to, func(v string) (time.Duration, error) {
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			return 0, fmt.Errorf("%q is no duration of more than zero, such as 5m", v)
		}
		return d, nil
	})
}

// URL sets the URL of an HTTP service.
func URL(to *string) func(string) error {
	return Text(to, func(v string) error {
		u, err := url.Parse(v)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return fmt.Errorf("%q is no URL such as http://127.0.0.1:8000", v)
		}
		return nil
	})
}

// CheckSecureURL reports why what an HTTP service says cannot be relied on: by any
// other URL than one with https, whoever is on the way can change it, unless it is on
// this machine.
func CheckSecureURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return errors.New("it is no URL")
	case u.User != nil || u.Fragment != "":
		return errors.New("it has a user or a fragment")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	default:
		return errors.New("https is needed, except on this machine")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Bool sets what is true or false, as [strconv.ParseBool] reads it.
func Bool(to *bool) func(string) error {
	return Parsed(to, func(v string) (bool, error) {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return false, errors.New("true or false is needed")
		}
		return b, nil
	})
}

// OneOf returns a check that a text is one of those.
func OneOf(allowed ...string) func(string) error {
	return func(v string) error {
		if slices.Contains(allowed, v) {
			return nil
		}
		return fmt.Errorf("%q is none of %s", v, strings.Join(allowed, ", "))
	}
}

// ErrEmptyList is of a list without entries, such as a single comma.
var ErrEmptyList = errors.New("the list is empty")

// List returns the entries of a list: separated by commas, spaces do not count.
func List(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
}
