package versions_test

import (
	"strings"
	"testing"

	"github.com/owt-signal/owt-signal/internal/versions"
)

func TestVersions(t *testing.T) {
	owt := "4.2 4.2.1 4.3 4.3.1 5 5.0 5.1.2"
	for _, c := range []struct{ list, kind, accepted, refused string }{
		{"", "", "none " + owt, "4.1 4.3.10 50.1 x 4.2.0 6.0"},
		{" , ,", "Web", "none " + owt, "4.1"},
		{"4.3.x, 6.0 , ,", "", "none 4.3 4.3.9 4.3.9-rc.1 6.0", "5.0 4.2 4.30 6.0.0 6"},
		{"4.2, 4.3.x, >=5.0, <6", "", "none 4.2 4.3 4.3.1 5 5.0 5.0.0 5.9.9.9", "4.2.1 4.9 4.9.9.9 6 6.0 6.0.1 5.0-rc 5.0.0.0.0 5. .5 5..1 1234567890"},
		{">=5.0 <6", "", "5.0 5.9", "4.9 6.0"},
		{">4.3 <=5.1", "", "4.3.0.1 4.4 5.1 5.1.0.0", "4.3 4.3.0 5.1.0.1 5.2"},
		{">=5", "", "5 999999999", "4.9"},
		{"<5", "", "0 4.9", "5"},
		{">=5 <=5", "", "5 5.0", "5.0.0.1"},
		{">=4 <5, >=6 <7", "", "4 6.5", "5 7"},
		{"<6, >=5", "", "none 5 5.9", "4.9 6"},
		{">=6 <5", "", "none", "4.9 5 5.5 6"},
		{"a: 5.x; A: 4.2", "a", "none 4.2", "5.0"},
		{"4.2, <3", "", "4.2 2.9", "3 4.1"},
		{"*", "", "none 1 x " + strings.Repeat("9", versions.MaxValue), strings.Repeat("9", versions.MaxValue+1)},
		{"required", "", owt, "none 4.1"},
		{"required, *", "", "1 x", "none"},
		{"required, >=5", "", "5", "none 4"},
		{"5.x; Android: required, >=4.3, <5; iOS: *;", "", "none 5.0", "4.3"},
		{"5.x; Android: required, >=4.3, <5; iOS: *;", "Web", "none 5.0", "4.3"},
		{"5.x; Android: required, >=4.3, <5; iOS: *;", "android", "4.3 4.4", "none 5.0"},
		{"5.x; Android: required, >=4.3, <5; iOS: *;", "IOS", "none 1 4.3", ""},
		{"Android: 5.x", "Web", "none " + owt, "4.1"},
		{"Android: 5.x", "Android", "none 5.0", "4.3"},
		{"required; C++ 11: 4.3", "c++ 11", "none 4.3", "5.0"},
		{"*", strings.Repeat("x", versions.MaxValue), "none 1", ""},
		{"*", strings.Repeat("x", versions.MaxValue+1), "", "none 1"},
	} {
		v, err := versions.Parse(c.list)
		if err != nil {
			t.Errorf("%q: %v", c.list, err)
			continue
		}
		for want, list := range map[bool]string{true: c.accepted, false: c.refused} {
			for version := range strings.FieldsSeq(list) {
				if version == "none" {
					version = ""
				}
				if got := v.Accept(c.kind, version); got != want {
					t.Errorf("list %q: version %q of type %q accepted: %v", c.list, version, c.kind, got)
				}
			}
		}
	}
	if !(versions.Policy{}).Accept("", "4.3.1") || (versions.Policy{}).Accept("", "4.1") {
		t.Error("the zero value is not that of the default list")
	}
}

func TestVersionListsThatAreRefused(t *testing.T) {
	many := strings.Repeat("1,", 64)
	if _, err := versions.Parse(many); err != nil {
		t.Errorf("64 entries: %v", err)
	}
	for list, says := range map[string]string{
		"any":                             `"any" is no version`,
		"=>5":                             `"=>5" is no version`,
		"v5.0":                            `"v5.0"`,
		"5.0_1":                           `"5.0_1"`,
		".x":                              `".x"`,
		"x":                               `"x"`,
		">= 5.0":                          `">="`,
		">=":                              `">="`,
		">=5.x":                           `">=5.x"`,
		">=5.0-rc":                        `">=5.0-rc"`,
		">=1.2.3.4.5":                     `">=1.2.3.4.5"`,
		"5.x; 4.x":                        `"4.x": the list for all types comes first`,
		": 5.x":                           `": 5.x"`,
		many + "1":                        "more than 64 entries",
		strings.Repeat(" ", 1025):         "1025 bytes",
		strings.Repeat("9", 65):           "no version",
		"t: >":                            `">"`,
		strings.Repeat("x", 65) + ": 5.x": "a list begins with a type",
	} {
		_, err := versions.Parse(list)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40q: %v, want %s", list, err, says)
		}
	}
}

func FuzzVersions(f *testing.F) {
	f.Add("4.2, 4.3.x, >=5.0, <6; Android: required, *", "Android", "4.3")
	f.Add(">=5 <6,;,:", "", "")
	f.Fuzz(func(t *testing.T, list, kind, version string) {
		v, err := versions.Parse(list)
		if err != nil || len(list) == 1024 {
			return
		}
		if again, err := versions.Parse(list + ";"); err != nil || again.Accept(kind, version) != v.Accept(kind, version) {
			t.Errorf("with a semicolon at its end it means another: %v", err)
		}
	})
}
