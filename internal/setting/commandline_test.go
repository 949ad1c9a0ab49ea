package setting_test

import (
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/owt-signal/owt-signal/internal/setting"
)

// one is a command line with a setting of its own, one of the functions, and one
// of theirs that has no flag.
type one struct {
	own, shared, variable string
}

func (o *one) parse(env map[string]string, args ...string) (setting.Given, error) {
	lookup := func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
	return setting.Parse(args, lookup, o.groups())
}

func (o *one) groups() []setting.Group {
	return []setting.Group{
		{"First", []setting.Setting{setting.Own("of-its-own", "`text` of one\nor two", setting.Text(&o.own, setting.OneOf("a", "b")))}},
		{"Second", []setting.Setting{
			setting.New("SHARED", "shares", "`text`", setting.Text(&o.shared)), setting.New("VARIABLE", "", "", setting.Text(&o.variable)),
		}},
	}
}

func TestFlagsAndVariables(t *testing.T) {
	env := map[string]string{"OWT_OF_ITS_OWN": "a", "SHARED": "by variable", "VARIABLE": "x", "OTHER": ""}
	for _, test := range []struct {
		env   map[string]string
		args  []string
		want  one
		given setting.Given
	}{
		{nil, nil, one{}, setting.Given{}},
		{env, nil, one{"a", "by variable", "x"}, setting.Given{"of-its-own": "OWT_OF_ITS_OWN", "shares": "SHARED"}},
		{nil, []string{"-of-its-own", "b"}, one{own: "b"}, setting.Given{"of-its-own": "-of-its-own"}},
		{env, []string{"-of-its-own=b", "--shares", "by flag"}, one{"b", "by flag", "x"}, setting.Given{"of-its-own": "-of-its-own", "shares": "-shares"}},
		{map[string]string{"SHARED": ""}, []string{"-shares", "x"}, one{shared: "x"}, setting.Given{"shares": "-shares"}},
	} {
		var got one
		given, err := got.parse(test.env, test.args...)
		if err != nil || got != test.want || len(given) != len(test.given) {
			t.Errorf("%v, %q: %+v, given %v, %v", test.env, test.args, got, given, err)
		}
		for name, by := range test.given {
			if given[name] != by {
				t.Errorf("%v, %q: %s is given by %q, want %q", test.env, test.args, name, given[name], by)
			}
		}
	}
}

func TestWrongCommandLines(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{nil, []string{"-of-its-own", ""}, "flag -of-its-own: the value is empty"},
		{nil, []string{"-shares="}, "flag -shares: the value is empty"},
		{map[string]string{"SHARED": ""}, nil, "variable SHARED: the value is empty"},
		{map[string]string{"VARIABLE": ""}, nil, "variable VARIABLE: the value is empty"},
		{nil, []string{"-of-its-own", "c"}, `flag -of-its-own: "c" is none of a, b`},
		{map[string]string{"OWT_OF_ITS_OWN": "c"}, nil, `variable OWT_OF_ITS_OWN: "c" is none of a, b`},
		{nil, []string{"-shares"}, "needs an argument: -shares"},
		{nil, []string{"-other", "x"}, "not defined: -other"},
		{nil, []string{"-version", "x"}, `unexpected argument "x"`},
	} {
		if _, err := new(one).parse(test.env, test.args...); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, %q: %v, want %s", test.env, test.args, err, test.want)
		}
	}
	for arg, want := range map[string]error{"-h": flag.ErrHelp, "-help": flag.ErrHelp, "-version": setting.ErrVersion} {
		if _, err := new(one).parse(nil, arg); !errors.Is(err, want) {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

func TestHelp(t *testing.T) {
	var b strings.Builder
	setting.PrintHelp(&b, new(one).groups())
	const want = `
First:
  -of-its-own text                 OWT_OF_ITS_OWN
    	text of one
    	or two

Second:
  -shares text                     SHARED
    	text
`
	if b.String() != want {
		t.Errorf("help is\n%s\nwant\n%s", b.String(), want)
	}
}
