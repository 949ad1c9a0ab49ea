package emf_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/emf"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// slow is an AWS that takes a second, and fails.
type slow struct{ *clock }

var errAWS = errors.New("of AWS")

// Do implements [aws.HTTPClient].
func (s slow) Do(*http.Request) (*http.Response, error) {
	s.Time = s.Add(time.Second)
	return nil, errAWS
}

// TestMeasured: each record and each post is measured once, with all attempts,
// and nothing else is.
func TestMeasured(t *testing.T) {
	m, out, c := newMetrics("s")
	measured := func(m *emf.Metrics) (signal.Store, apigw.Connections) {
		config := awsenv.ConfigOr("us-east-1", "test")
		config.HTTPClient, config.Retryer = slow{c}, func() aws.Retryer { return aws.NopRetryer{} }
		config.APIOptions = append(config.APIOptions, m.Measure)
		return dynamo.New(dynamodb.NewFromConfig(config), "table"), apigw.NewManagement(config)
	}
	s, connections := measured(m)
	unmeasured, _ := measured(nil)
	ctx := t.Context()
	for name, test := range map[string]struct {
		call         func() error
		store, posts int
	}{
		"create":    {func() error { return s.Create(ctx, signal.Connection{}) }, 1, 0},
		"read":      {func() error { _, err := s.Get(ctx, "c", 1); return err }, 1, 0},
		"update":    {func() error { _, _, err := s.Update(ctx, "c", signal.Update{}, 1); return err }, 1, 0},
		"end":       {func() error { _, err := s.End(ctx, "c"); return err }, 1, 0},
		"get ended": {func() error { _, err := s.GetEnded(ctx, "c", 1); return err }, 1, 0},
		"claim":     {func() error { _, err := s.Claim(ctx, signal.Claim{}); return err }, 1, 0},
		"release":   {func() error { _, err := s.Release(ctx, "u", "c", 0); return err }, 1, 0},
		"route":     {func() error { _, err := s.Route(ctx, "u", 1); return err }, 1, 0},
		"owner":     {func() error { _, err := s.Owner(ctx, "u", 1); return err }, 1, 0},
		"scan":      {func() error { return s.Scan(ctx, signal.Segment{Of: 1}, 1, func(signal.Connection) {}) }, 0, 0},
		"post":      {func() error { return connections.Post(ctx, "https://api.test/prod", "c", []byte("x")) }, 0, 1},
		"get":       {func() error { return connections.Get(ctx, "https://api.test/prod", "c") }, 0, 0},
		"delete":    {func() error { return connections.Delete(ctx, "https://api.test/prod", "c") }, 0, 0},
		"no stack":  {func() error { _, err := unmeasured.Owner(ctx, "u", 1); return err }, 0, 0},
	} {
		out.Reset()
		var err error
		m.End(func() { err = test.call() })
		var told struct{ StoreLatency, PostLatency []float64 }
		if out.Len() > 0 {
			check(t, out.Bytes())
			if err := json.Unmarshal(out.Bytes(), &told); err != nil {
				t.Fatal(err)
			}
		}
		if len(told.StoreLatency) != test.store || len(told.PostLatency) != test.posts {
			t.Errorf("%s: told %s", name, out)
		}
		for _, ms := range append(told.StoreLatency, told.PostLatency...) {
			if ms != 1000 {
				t.Errorf("%s: took %v ms, want a second", name, ms)
			}
		}
		if !errors.Is(err, errAWS) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
