package limits_test

import (
	"fmt"
	"testing"

	"github.com/owt-signal/owt-signal/internal/limits"
)

// What an operator may write is what browsers say, or is refused: an origin that
// none says would keep its pages out without a word.
func TestOriginsAreAsBrowsersWriteThem(t *testing.T) {
	for written, want := range map[string]string{
		"https://a.example": "[https://a.example]", "HTTPS://A.Example": "[https://a.example]",
		"https://a.example:443": "[https://a.example]", "http://a.example:80": "[http://a.example]",
		"https://a.example:80": "[https://a.example:80]", "http://a.example:443": "[http://a.example:443]",
		"https://a.example:08443": "[https://a.example:8443]", "https://a.example:65535": "[https://a.example:65535]",
		"https://a.example:443 https://a.example": "[https://a.example]",
		"app://local": "[app://local]", "app://local:443": "[app://local:443]", "http://127.0.0.1:8095": "[http://127.0.0.1:8095]",
		"http://[::1]:8095": "[http://[::1]:8095]", "http://[2001:DB8:0:0::1]": "[http://[2001:db8::1]]",
		"https://xn--bcher-kva.example": "[https://xn--bcher-kva.example]",
		"https://*.example.com":         "[https://*.example.com]", "https://*.Example.com:443": "[https://*.example.com]", "https://*.example.com:8443": "[https://*.example.com:8443]",
		"null": "[null]", "NULL,https://a.example": "[https://a.example null]",

		"https://bücher.example": "", "https://b%C3%BCcher.example": "", "https://a.example:65536": "", "https://a.example:": "", "https://:443": "",
		"https://*": "", "https://*.": "", "https://a.*.example": "", "https://*.*.example": "", "https://*a.example": "", "https://a*.example": "", "*": "", "*://a.example": "",
		"http://[::1%25eth0]": "", "http://[::x]": "", "http://::1": "", "https://a.example/": "", "https://a.example?": "", "https://a.example#": "", "https://u@a.example": "",
		"//a.example": "", "a.example": "", "a.example:443": "", "nullx": "",
	} {
		c, err := limits.FromEnvironment(func(name string) string { return map[string]string{"ALLOWED_ORIGINS": written}[name] })
		if got := fmt.Sprint(c.Origins); err == nil && got != want || (err == nil) == (want == "") {
			t.Errorf("%q is read as %s, %v, want %q", written, got, err, want)
		}
	}
}
