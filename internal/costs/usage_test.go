package costs

import (
	"math"
	"strings"
	"testing"
	"time"
)

// TestArithmetic does by hand what the model does.
func TestArithmetic(t *testing.T) {
	u := Default
	u.Own = 10 * time.Millisecond
	message := u.Message(1)
	for what, test := range map[string]struct{ got, want float64 }{
		"messages of a message":              {message.Messages, 3},                          // in, delivered, acked
		"write units of a message":           {message.Writes, 3},                            // take, route, finish
		"read units of a message":            {message.Reads, 0},                             //
		"API Gateway, a million messages":    {message.Bill(256).Gateway * million, 3.00},    // 3 × $1.00
		"DynamoDB, a million messages":       {message.Bill(256).DynamoDB * million, 1.875},  // 3 × $0.625
		"CloudWatch, a million messages":     {message.Bill(256).CloudWatch * million, 0.20}, // 400 bytes × $0.50/GB
		"messages of an hour, SDK 5":         {u.Hour().Messages, 36},                        // 12 × ping, pong, no-op
		"API Gateway, 1000 hours, SDK 5":     {u.Hour().Bill(256).Gateway * 1000, 0.051},     // 36 × $1.00/M + 60 × $0.25/M
		"messages of a connection, SDK 5":    {u.Connection().Messages, 7},
		"invocations of a connection, SDK 5": {u.Connection().Invocations, 4},
		"write units of a connection, SDK 5": {u.Connection().Writes, 5},
		"messages of an idle month":          {u.Idle().Messages, 730*36 + 365*7},
		"minutes of an idle month":           {u.Idle().Minutes, 730 * 60},
		"a call elsewhere, per million":      {u.kinesis().Call * million, 135}, // 2 × 30 × $2.25
		"a thousand idle users elsewhere":    {u.kinesis().Idle, 30},            // 1000 × $0.03
		"Lambda, a million of 1 s and 1 GB":  {Work{Invocations: million, Busy: million * time.Second}.Bill(1024).Lambda, 0.20 + 13.3334},
		"transfer, a GB":                     {Work{Sent: 1e9}.Bill(256).Transfer, 0.09},
		"read units, a million":              {Work{Reads: million}.Bill(256).DynamoDB, 0.125},
	} {
		if math.Abs(test.got-test.want) > 1e-9*max(1, test.want) {
			t.Errorf("%s: %v, want %v", what, test.got, test.want)
		}
	}
}

// TestMessageIsItsSteps: the simulator and the handlers agree.
func TestMessageIsItsSteps(t *testing.T) {
	alone := Default.Message(1)
	if alone.Writes != float64(Message.Writes) || alone.Reads != float64(Message.Reads) {
		t.Errorf("the simulator's message takes %v writes and %v reads, that of the handlers %+v", alone.Writes, alone.Reads, Message)
	}
	burst := Default.Message(20)
	if burst.Writes <= alone.Writes || burst.Busy <= alone.Busy || burst.Messages <= alone.Messages {
		t.Errorf("at once %+v, alone %+v", burst, alone)
	}
}

// TestIncrements: a message of 32 KB is one, and one byte more is two; the
// delivery has an envelope.
func TestIncrements(t *testing.T) {
	for data, want := range map[float64]float64{32<<10 - envelope: 3, 32<<10 - envelope + 1: 5, 64<<10 - envelope: 5, 64<<10 - envelope + 1: 7} {
		u := Default
		u.Bytes = data
		if got := u.Message(1).Messages; got != want {
			t.Errorf("%v bytes: %v messages, want %v", data, got, want)
		}
	}
}

// TestMonthIsItsActivities: nothing is left out, and nothing counted twice.
func TestMonthIsItsActivities(t *testing.T) {
	u := Default
	var total float64
	for _, a := range u.Activities() {
		total += a.Work.Bill(u.MemoryMB).Total()
	}
	by := u.Users * (u.Calls*u.Call().Bill(u.MemoryMB).Total() + u.Hours*u.Hour().Bill(u.MemoryMB).Total() +
		u.Hours/2*u.Connection().Bill(u.MemoryMB).Total())
	by += u.Keepalive().Bill(u.MemoryMB).Total()
	if here := u.thisService(); math.Abs(total-by) > 1e-6 || math.Abs(total-here.Month) > 1e-6 || here.Idle >= here.Month {
		t.Errorf("activities cost %v, their parts %v, all %+v", total, by, here)
	}
}

// TestKeepalive: all records are read, in 64 segments, each by the 8 KB for a
// unit, half of them at least.
func TestKeepalive(t *testing.T) {
	const rounds = 730 * 12
	for users, want := range map[float64]float64{0: 32, 500: 32, 1000: 64, 100_000: 5504} {
		u := Default
		u.Users, u.Hours = users, Month
		if got := u.Keepalive().Reads / rounds; math.Abs(got-want) > 1e-9 {
			t.Errorf("%v users: %v read units in a round, want %v", users, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Usage)
		wrong  string
	}{
		"default":         {func(*Usage) {}, ""},
		"nobody":          {func(u *Usage) { u.Users = 0 }, ""},
		"fewer":           {func(u *Usage) { u.Users = -1 }, "negative"},
		"no burst":        {func(u *Usage) { u.Burst = 0 }, "a burst is"},
		"largest burst":   {func(u *Usage) { u.Burst = MaxBurst }, ""},
		"larger burst":    {func(u *Usage) { u.Burst = MaxBurst + 1 }, "a burst is"},
		"always":          {func(u *Usage) { u.Hours = Month }, ""},
		"more":            {func(u *Usage) { u.Hours = Month + 1 }, "730 hours"},
		"client":          {func(u *Usage) { u.Client = "6" }, "no client"},
		"longest":         {func(u *Usage) { u.Session = MaxSession }, ""},
		"longer":          {func(u *Usage) { u.Session = MaxSession + 1 }, "lasts up to"},
		"heartbeat":       {func(u *Usage) { u.Heartbeat = MaxHeartbeat }, "heartbeat"},
		"late heartbeat":  {func(u *Usage) { u.Heartbeat = MaxHeartbeat - 1 }, ""},
		"largest message": {func(u *Usage) { u.Bytes = MaxBytes }, ""},
		"larger message":  {func(u *Usage) { u.Bytes = MaxBytes + 1 }, "bytes"},
		"least memory":    {func(u *Usage) { u.MemoryMB = 128 }, ""},
		"less memory":     {func(u *Usage) { u.MemoryMB = 127 }, "memory"},
	} {
		u := Default
		test.change(&u)
		err := u.Check()
		if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v, want %q", name, err, test.wrong)
		}
	}
}

func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		thousands(0): "0", thousands(999): "999", thousands(1000): "1,000", thousands(1234567): "1,234,567",
		dollar(0.005): "0.01", dollar(999.99): "999.99", dollar(1234.5): "1,235",
		number(3): "3", number(3.94): "3.9", number(43800): "43,800", number(9.96): "10",
		percent(1, 3): "33 %", percent(0, 0): "0 %",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
