package local

import (
	"net"
	"strings"
	"testing"
)

func TestGreetingNamesWhatIsServed(t *testing.T) {
	for _, test := range []struct {
		name       string
		args       []string
		says, mute []string // with PLAIN and SECURE for the addresses
	}{
		{"both", nil, []string{
			"http://PLAIN/socket.io/", "ws://PLAIN/prod\n", "https://SECURE/socket.io/", "wss://SECURE/prod\n",
			"io('http://PLAIN')", "http://PLAIN/\n", "https://SECURE/\n",
		}, nil},
		{"another stage", []string{"-stage", "beta_2"}, []string{"ws://PLAIN/beta_2\n", "wss://SECURE/beta_2\n"}, []string{"/prod"}},
		{"plain only", []string{"-secure", "off"}, []string{"ws://PLAIN/prod\n", "io('http://PLAIN'"}, []string{"https://", "wss://"}},
		{"secure only", []string{"-plain", "off"}, []string{"wss://SECURE/prod\n", "io('https://SECURE'"}, []string{"http://", "ws://"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, test.args...)
			greeting := s.stdout.String()
			fill := strings.NewReplacer("PLAIN", s.plain, "SECURE", s.secure).Replace
			for _, part := range test.says {
				if !strings.Contains(greeting, fill(part)) {
					t.Errorf("does not say %s:\n%s", fill(part), greeting)
				}
			}
			for _, part := range test.mute {
				if strings.Contains(greeting, part) {
					t.Errorf("says %s:\n%s", part, greeting)
				}
			}
		})
	}
}

func TestAddressesAreAsClientsWriteThem(t *testing.T) {
	for address, want := range map[string]string{
		"0.0.0.0:80": "localhost:80", "[::]:80": "localhost:80", ":80": "localhost:80",
		"127.0.0.1:80": "127.0.0.1:80", "[::1]:80": "[::1]:80", "192.0.2.1:80": "192.0.2.1:80",
	} {
		a, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := hostPort(a); got != want {
			t.Errorf("%s is written %s, want %s", address, got, want)
		}
	}
}
