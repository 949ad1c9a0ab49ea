package costs

import (
	"math"
	"time"
)

// Work is what AWS meters of something that happens.
type Work struct {
	Invocations float64
	Busy        time.Duration // of all invocations together, their waiting included
	Messages    float64       // in and out, in increments
	Minutes     float64       // of connections
	Writes      float64       // write units
	Reads       float64       // read units
	Logged      float64       // bytes
	Sent        float64       // bytes to clients
}

// Plus is both.
func (w Work) Plus(o Work) Work {
	return Work{
		Invocations: w.Invocations + o.Invocations,
		Busy:        w.Busy + o.Busy,
		Messages:    w.Messages + o.Messages,
		Minutes:     w.Minutes + o.Minutes,
		Writes:      w.Writes + o.Writes,
		Reads:       w.Reads + o.Reads,
		Logged:      w.Logged + o.Logged,
		Sent:        w.Sent + o.Sent,
	}
}

// Times is n of it.
func (w Work) Times(n float64) Work {
	return Work{
		Invocations: w.Invocations * n,
		Busy:        time.Duration(float64(w.Busy) * n),
		Messages:    w.Messages * n,
		Minutes:     w.Minutes * n,
		Writes:      w.Writes * n,
		Reads:       w.Reads * n,
		Logged:      w.Logged * n,
		Sent:        w.Sent * n,
	}
}

// Bill is dollars, by the service that takes them.
type Bill struct {
	Gateway, Lambda, DynamoDB, CloudWatch, Transfer float64
}

// Total is all together.
func (b Bill) Total() float64 { return b.Gateway + b.Lambda + b.DynamoDB + b.CloudWatch + b.Transfer }

// Bill is what w costs with functions of so much memory.
func (w Work) Bill(memoryMB float64) Bill {
	return Bill{
		Gateway:    w.Messages*perMessage + w.Minutes*perMinute,
		Lambda:     w.Invocations*perInvocation + w.Busy.Seconds()*memoryMB/1024*perGBSecond,
		DynamoDB:   w.Writes*perWriteUnit + w.Reads*perReadUnit,
		CloudWatch: w.Logged / gigabyte * perLoggedGB,
		Transfer:   w.Sent / gigabyte * perSentGB,
	}
}

// units is how many units of a size something of so many bytes is.
func units(bytes, unit float64) float64 { return math.Ceil(bytes / unit) }
