package deploy

import "testing"

// TestDefaults deploys the stack with the defaults, and has real clients talk
// through it.
func TestDefaults(t *testing.T) {
	e := startEmulator(t)
	s := e.deploy(t)
	clients(t, s.endpoint(t), nil, "clients/pairs.test.mjs", "clients/takeover.test.mjs", "clients/unreachable.test.mjs")
}
