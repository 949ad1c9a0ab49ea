package signal

import (
	"maps"
	"slices"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Metric is something that a [Meter] counts.
type Metric string

// The metrics. Answers to clients are counted besides, by their code: "Acks",
// which are successes, and "Acks2100" and so on, which are errors of any kind.
const (
	MetricConnects  Metric = "Connects"  // connections admitted
	MetricRefusals  Metric = "Refusals"  // connections refused, for their handshake, version, token or frames
	MetricClaims    Metric = "Claims"    // names claimed
	MetricTakeovers Metric = "Takeovers" // connections that lost their name to another
	MetricMessages  Metric = "Messages"  // messages that came from clients
	MetricHeld      Metric = "Held"      // frames that came early and were held
	MetricLingered  Metric = "Lingered"  // invocations that stayed to watch over a held frame
	MetricSkipped   Metric = "Skipped"   // numbers given up, because they did not come
	MetricExpired   Metric = "Overtaken" // leases that expired
	MetricGone      Metric = "Gone"      // connections found gone
	MetricFailures  Metric = "Failures"  // panics, and failures of the store or of sockets that a client was told of
	MetricPinged    Metric = "Pinged"    // connections kept alive by a ping

	MetricEvents        Metric = "Events"        // events that were delivered to those who run the service
	MetricEventsRetried Metric = "EventsRetried" // tries to deliver an event again
	MetricEventsDropped Metric = "EventsDropped" // events that were given up
)

// answers are the metrics of what clients are told, by code. What the server
// never says itself is not among them.
var answers = map[lane.Code]Metric{
	lane.OK:              "Acks",
	lane.CodeServer:      "Acks2100",
	lane.CodeUnavailable: "Acks2101",
	lane.CodeBusy:        "Acks2102",
	lane.CodeUnsupported: "Acks2103",
	lane.CodeClient:      "Acks2110",
	lane.CodeUnknownUser: "Acks2120",
	lane.CodeWrongToken:  "Acks2121",
	lane.CodeUnreachable: "Acks2201",
}

// Metrics returns all metrics that there are.
func Metrics() []Metric {
	return append([]Metric{
		MetricConnects, MetricRefusals, MetricClaims, MetricTakeovers, MetricMessages, MetricHeld, MetricLingered,
		MetricSkipped, MetricExpired, MetricGone, MetricFailures, MetricPinged,
		MetricEvents, MetricEventsRetried, MetricEventsDropped,
	}, slices.Sorted(maps.Values(answers))...)
}

// Count counts what happened n times, if there is a meter.
func (s *Service) Count(m Metric, n int) {
	if s.Meter != nil && n > 0 {
		s.Meter.Count(m, n)
	}
}

// countAnswer counts what a client is told: that a message was delivered, or an error.
func (s *Service) countAnswer(e Event) {
	if s.Meter == nil {
		return
	}
	var code lane.Code
	switch e := e.(type) {
	case Batch:
		for _, one := range e {
			s.countAnswer(one)
		}
		return
	case Ack:
		code = e.Code
	case AuthenticationDenied:
		code = e.Code
	case ConnectionRefused:
		code = e.Code
	case Closing:
		code = e.Code
	case RequestFailed:
		code = e.Code
	default:
		return
	}
	if m, ok := answers[code]; ok {
		s.Meter.Count(m, 1)
	}
	if code == lane.CodeUnavailable { // what no limit, no user and no client is to blame for
		s.Meter.Count(MetricFailures, 1)
	}
}
