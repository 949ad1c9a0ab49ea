// Package setting is the parameters that whoever runs the service may set: by
// the environment of a function, or the flags of owt-signal.
package setting

import "fmt"

// Setting is one parameter of a configuration C.
type Setting[C any] struct {
	Variable string // in the environment of a function; empty there: not set
	Flag     string // of owt-signal; empty: none
	Usage    string // of the flag
	Set      func(c *C, value string) error
}

// Read sets what the environment has.
func Read[C any](settings []Setting[C], c *C, getenv func(string) string) error {
	for _, s := range settings {
		if v := getenv(s.Variable); v != "" {
			if err := s.Set(c, v); err != nil {
				return fmt.Errorf("read environment: %s: %w", s.Variable, err)
			}
		}
	}
	return nil
}
