package lambdaenv

import (
	"slices"
	"strings"
	"testing"
)

func TestLineWriter(t *testing.T) {
	long := strings.Repeat("x", maxLogLine)
	for name, test := range map[string]struct{ in, want []string }{
		"nothing":             {nil, nil},
		"one line":            {[]string{"a\n"}, []string{"a\n"}},
		"in pieces":           {[]string{"a", "b", "c\nd"}, []string{"abc\n", "d\n"}},
		"empty lines":         {[]string{"\n\na\n"}, []string{"\n", "\n", "a\n"}},
		"longest line":        {[]string{long + "\na\n"}, []string{long + "\n", "a\n"}},
		"one byte more":       {[]string{long + "y\na\n"}, []string{long + "\n", "y\n", "a\n"}},
		"too long, in pieces": {[]string{"y", long, "\n"}, []string{"y" + long[1:] + "\n", "x\n"}},
	} {
		var got []string
		f := &Function{config: Config{Logs: func(environment int, line []byte) {
			if environment != 7 {
				t.Errorf("%s: line of environment %d", name, environment)
			}
			got = append(got, string(line))
		}}}
		l := &lineWriter{logs: environmentLogs{f, 7}}
		for _, p := range test.in {
			if n, err := l.Write([]byte(p)); n != len(p) || err != nil {
				t.Errorf("%s: Write returned %d, %v", name, n, err)
			}
		}
		l.flush()
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %.80q, want %.80q", name, got, test.want)
		}
	}
}
