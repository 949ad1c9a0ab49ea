package apigw_test

import (
	"testing"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/limits"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// A client's address is what the distribution says of it, and nobody else.
func TestSourceBehindTheDistribution(t *testing.T) {
	const edge, cloudFront = "5f0c2d10-aaaa", "130.176.1.1"
	for name, c := range map[string]struct {
		edge    string
		headers map[string]string
		want    string
	}{
		"without a distribution":        {"", map[string]string{"x-owt-edge": "", "X-Forwarded-For": "192.0.2.7"}, cloudFront},
		"past the distribution":         {edge, map[string]string{"X-Forwarded-For": "192.0.2.7"}, cloudFront},
		"with a guess":                  {edge, map[string]string{"X-Owt-Edge": "x", "X-Forwarded-For": "192.0.2.7"}, cloudFront},
		"through it":                    {edge, map[string]string{"X-Owt-Edge": edge, "X-Forwarded-For": "192.0.2.7, " + cloudFront}, "192.0.2.7"},
		"through it, nothing appended":  {edge, map[string]string{"x-owt-edge": edge, "x-forwarded-for": "192.0.2.7"}, "192.0.2.7"},
		"through it, with a forged hop": {edge, map[string]string{"X-Owt-Edge": edge, "X-Forwarded-For": "10.0.0.1, 192.0.2.7, " + cloudFront}, "192.0.2.7"},
		"through it, none said":         {edge, map[string]string{"X-Owt-Edge": edge}, cloudFront},
	} {
		t.Run(name, func(t *testing.T) {
			a := &asker{needs: signal.Needs{Client: true}}
			h := app.New(app.Config{
				Store: memory.New(), Connections: &sockets{frames: make(map[signal.ConnectionID][]string)}, Endpoint: apigw.Endpoint("eu-west-1"),
				Access: signal.Access{Authenticator: a}, Limits: limits.Config{Edge: c.edge}, Log: newLobbyWorld(t).Log,
			})
			ev := event("id=", "", map[string]string{"token": "t"})
			ev.RequestContext.Identity.SourceIP, ev.Headers = cloudFront, c.headers
			_, after := h.Connect(t.Context(), ev)
			after(t.Context())
			if len(a.asked) != 1 || a.asked[0].Client.Address != c.want {
				t.Errorf("asked %+v, want %s", a.asked, c.want)
			}
		})
	}
}
