// Package costs is what the service costs on AWS: list prices, what AWS meters of the things that happen, and what that
// comes to for a number of users, beside what it would be elsewhere. It is arithmetic, and knows nothing of AWS but its
// prices.
package costs

const million = 1e6

// List prices in US East (N. Virginia), in US dollars, for the first tier of use, without free tiers and taxes, as of
// November 2026 where not said otherwise. Lambda's are those of arm64.
const (
	// https://aws.amazon.com/api-gateway/pricing/, WebSocket APIs: messages in both directions, in increments of 32 KB.
	// What @connections posts is a message; $connect and $disconnect are none.
	perMessage       = 1.00 / million
	messageIncrement = 32 << 10
	perMinute        = 0.25 / million // of a connection

	// https://aws.amazon.com/lambda/pricing/: the time of the handler, of the work after it and of the start, in steps of
	// 1 ms.
	perInvocation = 0.20 / million
	perGBSecond   = 0.0000133334

	// https://aws.amazon.com/dynamodb/pricing/on-demand/: a write unit is 1 KB of the whole record, a read unit 4 KB, or 8
	// KB if the read is eventually consistent.
	perWriteUnit = 0.625 / million
	perReadUnit  = 0.125 / million
	writeUnit    = 1 << 10
	readUnit     = 4 << 10

	// https://aws.amazon.com/cloudwatch/pricing/: ingestion of logs of the class Standard.
	perLoggedGB = 0.50

	// https://aws.amazon.com/ec2/pricing/on-demand/, data transfer out to the internet: the first 10 TB, the 100 GB aside
	// that are free.
	perSentGB = 0.09

	gigabyte = 1e9
)

// Prices of the alternatives.
const (
	// https://aws.amazon.com/kinesis/video-streams/pricing/, WebRTC, October 2026: messages sent and messages received, and
	// each channel to which somebody connects in a month.
	perSignalingMessage = 2.25 / million
	perChannelMonth     = 0.03

	// https://aws.amazon.com/sqs/pricing/, FIFO queues: any request, of up to 64 KB.
	perQueueRequest = 0.50 / million
	queueIncrement  = 64 << 10
)
