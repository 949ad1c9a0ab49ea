// Package costs reckons what the service costs on AWS, from list prices and from
// what AWS meters of the things that happen: the counts of the handlers.
package costs

// What AWS meters.
const (
	messages    = iota // in both directions, in increments of 32 KB; what @connections posts is one
	minutes            // of connections
	invocations        // of functions
	busy               // ms of all invocations together, their waiting included, with 256 MB
	writes             // units of 1 KB of the whole record
	reads              // units of 4 KB, or 8 KB if eventually consistent
	logged             // bytes
	metrics            // custom ones, for a month: each name with each set of dimensions
	alarms             // metrics that alarms look at, for a month
	dashboards         // for a month
	sent               // bytes to clients
	meters
)

// prices are list prices in US East (N. Virginia), in US dollars, for the first
// tier of use, without free tiers and taxes, as of November 2026, arm64, from
// https://aws.amazon.com/NAME/pricing/ of api-gateway (WebSocket APIs), lambda
// (for a GB and second), dynamodb/on-demand, cloudwatch and ec2 (data out).
var prices = [meters]struct {
	service string
	each    float64
}{
	messages:    {"API Gateway", 1.00 / 1e6},
	minutes:     {"API Gateway", 0.25 / 1e6},
	invocations: {"Lambda", 0.20 / 1e6},
	busy:        {"Lambda", 0.0000133334 * 256 / 1024 / 1000},
	writes:      {"DynamoDB", 0.625 / 1e6},
	reads:       {"DynamoDB", 0.125 / 1e6},
	logged:      {"CloudWatch", 0.50 / 1e9},
	metrics:     {"CloudWatch", 0.30},
	alarms:      {"CloudWatch", 0.10},
	dashboards:  {"CloudWatch", 3.00},
	sent:        {"transfer", 0.09 / 1e9},
}

// Work is how much AWS meters of something.
type Work [meters]float64

// plus is w and n times o.
func (w Work) plus(n float64, o Work) Work {
	for m := range w {
		w[m] += n * o[m]
	}
	return w
}

// dollars is what w costs by a service, or by all if it is empty.
func (w Work) dollars(service string) (sum float64) {
	for m, p := range prices {
		if service == "" || service == p.service {
			sum += w[m] * p.each
		}
	}
	return sum
}
