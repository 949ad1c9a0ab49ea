//go:build unix

package apigw_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// BenchmarkPosts is the posts of a round of keepalive, as many at a time, over
// TLS, to a service that takes 10 ms. It tells the processor time of each, the
// service's included: what decides about the memory of the function, with which
// its share of a processor grows.
func BenchmarkPosts(b *testing.B) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) }))
	defer server.Close()
	config := awsenv.ConfigOr("us-east-1", "test")
	config.HTTPClient = awsenv.NewClient(lane.PostWithin, func(t *http.Transport) {
		t.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	})
	m := apigw.NewManagement(config)
	b.SetParallelism(signal.PingsAtOnce)
	began := processorTime()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := m.Post(b.Context(), server.URL+"/prod", "L0SM9cOFvHcCIhw=", []byte("2")); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64((processorTime()-began).Microseconds())/float64(b.N), "cpu-µs/op")
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
