package memory_test

import (
	"testing"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

func TestLinearizable(t *testing.T) {
	storetest.Linearizable(t, memory.New())
}

func TestRepeatedClaim(t *testing.T) {
	storetest.RepeatedClaim(t, memory.New())
}
