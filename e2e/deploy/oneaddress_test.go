package deploy

import (
	"encoding/json"
	"strings"
	"testing"
)

// distribution is what the test asks CloudFront for.
type distribution struct {
	DomainName string
	Origins    struct {
		Items []struct {
			ID, DomainName string
			CustomHeaders  struct {
				Items []struct{ HeaderName, HeaderValue string }
			}
		}
	}
	DefaultCacheBehavior struct {
		FunctionAssociations struct {
			Items []struct{ FunctionARN, EventType string }
		}
	}
}

// oneAddress has clients with default transports talk through the stack's distribution.
// The emulator keeps distributions, and serves none: a stand-in asks the function that
// is deployed for the origin, and goes there.
func (s *stack) oneAddress(t *testing.T) {
	t.Helper()
	d := s.distribution(t)
	hosts, key := make(map[string]string), ""
	for _, o := range d.Origins.Items {
		hosts[o.ID] = o.DomainName
		for _, h := range o.CustomHeaders.Items {
			key = h.HeaderName + ": " + h.HeaderValue
		}
	}
	if hosts["socket"] != s.api+".execute-api."+region+".amazonaws.com" || hosts["lobby"] == "" || hosts["lobby"] == hosts["socket"] {
		t.Fatalf("the distribution's origins are %v", hosts)
	}
	clients(t, s.endpoint(t), []string{
		"CODE=" + s.emulator.published(t, d), "SOCKET=" + s.emulator.front(t, hosts["socket"]), "LOBBY=" + s.emulator.front(t, hosts["lobby"]), "EDGE=" + key,
	}, "is enough for", 9, "distribution/distribution.test.mjs")
}

// distribution is the stack's, at its output.
func (s *stack) distribution(t *testing.T) (d distribution) {
	t.Helper()
	var found struct {
		DistributionList struct {
			Items []struct{ ID, DomainName string }
		}
	}
	s.emulator.call(t, "cloudfront", "list_distributions", map[string]string{}, &found)
	if all := found.DistributionList.Items; len(all) != 1 || s.outputs["OneAddressEndpoint"] != "https://"+all[0].DomainName {
		t.Fatalf("the output OneAddressEndpoint is %q, and there are the distributions %v", s.outputs["OneAddressEndpoint"], all)
	}
	var got struct {
		Distribution struct{ DistributionConfig distribution }
	}
	s.emulator.call(t, "cloudfront", "get_distribution", map[string]string{"Id": found.DistributionList.Items[0].ID}, &got)
	return got.Distribution.DistributionConfig
}

// published is the code of the function that a distribution asks.
func (e *emulator) published(t *testing.T, d distribution) string {
	t.Helper()
	asked := d.DefaultCacheBehavior.FunctionAssociations.Items
	if len(asked) != 1 || asked[0].EventType != "viewer-request" {
		t.Fatalf("the distribution asks the functions %v", asked)
	}
	var got struct{ FunctionCode json.RawMessage }
	e.call(t, "cloudfront", "get_function", map[string]string{"Name": asked[0].FunctionARN[strings.LastIndex(asked[0].FunctionARN, "/")+1:], "Stage": "LIVE"}, &got)
	var code string
	if err := json.Unmarshal(got.FunctionCode, &code); err != nil {
		t.Fatalf("the function's code is %s: %v", got.FunctionCode, err)
	}
	return code
}
