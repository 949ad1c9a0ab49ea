// Package lane orders the numbered frames of one sender. It is the pure core of
// the service: a lease with fencing on the right to post, a reorder buffer for
// frames that come early, and the outcomes of the last numbers.
//
// A [Lane] changes by guarded transitions, each a [Move]: a condition and a
// change, both plain data, which a store makes in one conditional write. The
// functions here choose moves ([Take], [Lane.DecideArrival], [Lane.DecideWatch],
// [Lane.Finish] and others); they depend on the lane, the input and the time
// alone. The package imports the standard library only.
package lane
