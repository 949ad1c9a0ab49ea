package lane

import (
	"strings"
	"testing"
)

// A frame is told from another one by all that it says, wherever that is kept.
func TestDigest(t *testing.T) {
	frames := []Frame{{}, {Asks: AsksName}, {Asks: AsksICE}, {To: "bob"}, {To: "bo", Data: []byte("b")}, {Data: []byte("bob")}, {To: "bob", Data: []byte("1")}, {To: "bob", Data: []byte("2")}}
	for i, f := range frames {
		for j, g := range frames {
			if same := f.Digest() == g.Digest(); same != (i == j) || f.Digest() == 0 {
				t.Errorf("%+v and %+v have %x and %x", f, g, f.Digest(), g.Digest())
			}
		}
		refused, apart := f, Frame{Body: Body{Name: "x", Digest: f.Digest()}}
		refused.Code = CodeBusy
		if refused.Digest() != f.Digest() || apart.Digest() != f.Digest() {
			t.Errorf("%+v is another one refused, or apart", f)
		}
	}
}

// other is a message that comes under a number of [framesOf].
func other(n int64, code Code) []Numbered {
	return []Numbered{{n, Frame{To: "bob", Data: []byte("other"), Code: code}}}
}

// What comes under another's number is told an error, whatever became of that, and the
// same again is answered as it was.
func TestReused(t *testing.T) {
	for _, c := range []struct {
		name        string
		before      func(l *Lane)
		other, same rest
	}{
		{"delivered", func(l *Lane) { finish(l, "a", start) }, rest{true, CodeClient}, rest{true, OK}},
		{"not delivered", func(l *Lane) { finish(l, "a", start, Undelivered{1, 1, CodeUnreachable}) }, rest{true, CodeClient}, rest{true, CodeUnreachable}},
		{"being posted", func(*Lane) {}, rest{true, CodeServer}, rest{}},
		{"lost", func(l *Lane) { l.Apply(l.Expire("b")) }, rest{true, CodeClient}, rest{true, CodeServer}},
		{"held", func(l *Lane) {
			*l, _ = opened(StartAt(-1))
			l.Apply(hold(framesOf(1), "a", start))
		}, rest{true, CodeServer}, rest{}},
		{"gone on with", func(l *Lane) {
			finish(l, "a", start)
			next := New()
			next.Apply(next.Start(*l, "b", start))
			*l = next
		}, rest{true, CodeClient}, rest{true, OK}},
	} {
		l, _ := opened(StartAt(0))
		l.Apply(Take(framesOf(1), "a", start))
		c.before(&l)
		for _, again := range []struct {
			run  []Numbered
			want rest
		}{{other(1, OK), c.other}, {framesOf(1), c.same}, {other(1, CodeUnsupported), rest{true, CodeUnsupported}}} {
			if l.Allows(Take(again.run, "me", start)) {
				t.Errorf("%s: %+v is taken", c.name, again.run)
			}
			var got rest
			a := l.DecideArrival(again.run, "me", seen(l, start), start)
			if len(a.Finished) > 0 {
				got = rest{true, a.Finished[0].Code}
			}
			if got != again.want || a.Move.Kind != "" {
				t.Errorf("%s: %+v: %+v, want %+v; %s", c.name, again.run, got, again.want, a.Move.Kind)
			}
		}
	}
}

// So many of the last numbers are remembered; of lower ones it is not known what they
// were.
func TestDigestsAreBounded(t *testing.T) {
	l, _ := opened(StartAt(0))
	for n := int64(1); n <= 2*MaxDigests; n++ {
		l.Apply(Take(framesOf(n), "a", start))
		finish(&l, "a", start)
	}
	if len(l.Finished.Sums) != MaxDigests {
		t.Errorf("%d digests are kept, want %d", len(l.Finished.Sums), MaxDigests)
	}
	for n, want := range map[int64][2]Code{MaxDigests: {CodeServer, CodeServer}, MaxDigests + 1: {OK, CodeClient}, 2 * MaxDigests: {OK, CodeClient}} {
		if same, reused := l.Answer(framesOf(n)[0]), l.Answer(other(n, OK)[0]); same != want[0] || reused != want[1] {
			t.Errorf("%d of %d: %d, and %d if it is another one, want %d", n, 2*MaxDigests, same, reused, want)
		}
	}
}

// Numbers that are left out have no digest, however many they are.
func TestDigestsOfGaps(t *testing.T) {
	for _, c := range []struct{ first, second, third []int64 }{
		{[]int64{0}, []int64{1}, []int64{2}},
		{[]int64{1, 3}, []int64{4, 7}, []int64{9}},
		{[]int64{1}, []int64{1 << 40}, []int64{1<<40 + 1}},
		{[]int64{1, 1 << 40}, []int64{1<<40 + MaxDigests}, []int64{1 << 50, 1<<50 + 1}},
	} {
		var d Digests
		known := make(map[int64]bool)
		for _, ns := range [][]int64{c.first, c.second, c.third} {
			d = d.and(digests(framesOf(ns...)))
			if again := d.and(digests(framesOf(ns...))); again.Last != d.Last || len(again.Sums) != len(d.Sums) {
				t.Errorf("%v again: %+v, want %+v", ns, again, d)
			}
			last := ns[len(ns)-1]
			for _, n := range ns {
				known[n] = true
			}
			for n := last + 2; n >= max(0, last-2*MaxDigests); n-- {
				want := uint32(0)
				if known[n] && n > last-MaxDigests {
					want = frameOf(n).Digest()
				}
				if got := d.of(n); got != want {
					t.Errorf("%v: the digest of %d is %x, want %x", c, n, got, want)
				}
			}
		}
	}
}

// BenchmarkDigest is of a message of usual size.
func BenchmarkDigest(b *testing.B) {
	f := Frame{To: "bob", Data: []byte(strings.Repeat("x", 600))}
	b.ReportAllocs()
	for b.Loop() {
		f.Digest()
	}
}
