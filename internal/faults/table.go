package faults

import (
	"context"
	"net/http"

	"github.com/owt-signal/owt-signal/internal/capacity"
)

// Table returns a way to a DynamoDB whose keys have the limit of the spec. A nil
// Faults has none.
func (f *Faults) Table(next func(*http.Request) (*http.Response, error)) *capacity.Limit {
	if f == nil || f.spec.KeyLimit == 0 {
		return &capacity.Limit{Next: next}
	}
	return &capacity.Limit{Next: next, WriteUnits: f.spec.KeyLimit, Charged: func(c capacity.Charge) {
		if c.Throttled {
			f.log.InfoContext(context.Background(), "key throttled", "write", c.Write)
		}
	}}
}
