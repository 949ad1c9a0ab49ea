package client

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

// What is queued goes together as far as the server takes it, and one frame is
// metered as one message.
func TestTogether(t *testing.T) {
	text := func(n int) outFrame { return outFrame{bytes.Repeat([]byte("1"), n), true} }
	const third = (maxFrame - 4) / 4
	for _, c := range []struct {
		name  string
		queue []outFrame
		most  int
		want  []int // messages in each frame
	}{
		{"one", []outFrame{text(9)}, 3, []int{1}},
		{"as many as the server takes", []outFrame{text(9), text(9), text(9), text(9)}, 3, []int{3, 1}},
		{"no arrays", []outFrame{text(9), text(9)}, 0, []int{1, 1}},
		{"up to the unit of metering", []outFrame{text(third), text(third), text(2 * third), text(9)}, 9, []int{3, 1}},
		{"one byte past it", []outFrame{text(third), text(third), text(2*third + 1), text(9)}, 9, []int{2, 2}},
		{"larger ones alone", []outFrame{text(maxFrame + 1), text(9), text(9)}, 9, []int{1, 2}},
		{"messages alone", []outFrame{text(9), pingFrame, text(9), text(9), leaveFrame}, 9, []int{1, 1, 2, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []int
			for queue := c.queue; len(queue) > 0; {
				n := together(queue, c.most)
				frame := join(queue[:n])
				if n > 1 && (len(frame) > maxFrame || !json.Valid(frame)) {
					t.Errorf("%d together: %d bytes", n, len(frame))
				}
				got, queue = append(got, n), queue[n:]
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
