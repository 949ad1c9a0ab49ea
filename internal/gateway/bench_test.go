package gateway_test

import (
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/owt-signal/owt-signal/internal/gateway"
)

// BenchmarkEcho measures one message there and back over the loopback interface, on one connection:
//
//	go test -run '^$' -bench Echo -benchmem ./internal/gateway/
func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{100, 3000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := serve(b, gateway.Config{Routes: gateway.Routes{Default: echo}})
			c := s.rawDial(b)
			request := maskedFrame(final|opText, bytesOf(size))
			answer := make([]byte, len(request)-4)
			b.ReportAllocs()
			for b.Loop() {
				c.write(b, request)
				if _, err := io.ReadFull(c.r, answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEchoPipelined measures throughput: as BenchmarkEcho, with many messages under way.
func BenchmarkEchoPipelined(b *testing.B) {
	s := serve(b, gateway.Config{Routes: gateway.Routes{Default: echo}})
	c := s.rawDial(b)
	const burst, size = 64, 100
	var requests []byte
	for range burst {
		requests = append(requests, maskedFrame(final|opText, bytesOf(size))...)
	}
	answers := make([]byte, burst*(2+size))
	b.ReportAllocs()
	for b.Loop() {
		c.write(b, requests)
		if _, err := io.ReadFull(c.r, answers); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*burst), "ns/message")
}

// BenchmarkPost measures accepting messages for a client that reads them.
func BenchmarkPost(b *testing.B) {
	connect := newRecorder()
	s := serve(b, gateway.Config{Routes: gateway.Routes{Connect: connect}})
	c := s.rawDial(b)
	id := (<-connect.events).RequestContext.ConnectionID
	go io.Copy(io.Discard, c)
	data := []byte(bytesOf(100))
	b.ReportAllocs()
	for b.Loop() {
		for s.Post(b.Context(), id, data) != nil { // full now and then
			runtime.Gosched()
		}
	}
}

// BenchmarkIdleConnection measures the memory that an idle connection keeps, in the heap and in stacks, sockets of the
// kernel not counted. The client's side, a net.Conn without buffers, is included.
func BenchmarkIdleConnection(b *testing.B) {
	const connections = 1000
	s := serve(b, gateway.Config{Routes: gateway.Routes{Default: echo}})
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	for b.Loop() {
		before := used()
		clients := make([]*raw, connections)
		for i := range clients {
			clients[i] = s.rawDial(b)
			clients[i].write(b, maskedFrame(final|opText, "hi"))
			clients[i].wantFrame(b, final|opText, "hi")
			clients[i].r = nil
		}
		b.ReportMetric(float64(used()-before)/connections, "B/connection")
		for _, c := range clients {
			c.Close()
		}
	}
}
