package setting

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Prefix begins the variables of owt-signal that no function has.
const Prefix = "OWT_"

// Own returns a setting of owt-signal that no function has: its variable is
// [Prefix] and the flag's name in capitals, with _ for -.
func Own(flag, usage string, set func(string) error) Setting {
	return New(Prefix+strings.ToUpper(strings.ReplaceAll(flag, "-", "_")), flag, usage, set)
}

// Group is settings that belong together.
type Group struct {
	Title    string
	Settings []Setting
}

// Given is which flags are set, by what: themselves ("-table") or their variables
// ("TABLE_NAME").
type Given map[string]string

// ErrVersion is what [Parse] returns for -version.
var ErrVersion = errors.New("the version is asked for")

var errEmpty = errors.New("the value is empty")

// Parse sets what the arguments have a flag for, and of the rest what the
// environment has a variable for; lookup is as [os.LookupEnv]. An empty value is an
// error, and so is an argument that is no flag. For -help it returns
// [flag.ErrHelp], and for -version [ErrVersion].
func Parse(args []string, lookup func(string) (string, bool), groups []Group) (Given, error) {
	given := make(Given)
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for s := range all(groups) {
		if s.Flag != "" {
			fs.Func(s.Flag, s.Usage, func(v string) error {
				given[s.Flag] = "-" + s.Flag
				return s.set(v)
			})
		}
	}
	version := fs.Bool("version", false, "")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w (see -help)", err)
	case fs.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q (see -help)", fs.Arg(0))
	case *version:
		return nil, ErrVersion
	}
	for s := range all(groups) {
		v, ok := lookup(s.Variable)
		if _, by := given[s.Flag]; !ok || by || s.Variable == "" {
			continue
		}
		if err := s.set(v); err != nil {
			return nil, fmt.Errorf("variable %s: %w", s.Variable, err)
		}
		if s.Flag != "" {
			given[s.Flag] = s.Variable
		}
	}
	return given, nil
}

// all is the settings of all groups.
func all(groups []Group) iter.Seq[Setting] {
	return func(yield func(Setting) bool) {
		for _, group := range groups {
			for _, s := range group.Settings {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// set sets a value, which must not be empty.
func (s Setting) set(v string) error {
	if v == "" {
		return errEmpty
	}
	return s.Set(v)
}

// PrintHelp writes what each flag is for, with its variable, in groups.
func PrintHelp(out io.Writer, groups []Group) {
	for _, group := range groups {
		fmt.Fprintf(out, "\n%s:\n", group.Title)
		for _, s := range group.Settings {
			if s.Flag != "" {
				value, usage := flag.UnquoteUsage(&flag.Flag{Usage: s.Usage})
				fmt.Fprintf(out, "  %-32s %s\n    \t%s\n", "-"+s.Flag+" "+value, s.Variable, strings.ReplaceAll(usage, "\n", "\n    \t"))
			}
		}
	}
}
