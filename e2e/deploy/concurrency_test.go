package deploy

import "testing"

// TestNewAccount shows what users see of an account that may run 10 invocations
// at once, as a new one may (docs/operations.md).
func TestNewAccount(t *testing.T) {
	t.Parallel()
	e := startEmulator(t, "LAMBDA_ACCOUNT_CONCURRENCY=10")
	s := e.deploy(t)
	clients(t, s.endpoint(t), nil, ".", 4, "deploy/burst.test.mjs")
}
