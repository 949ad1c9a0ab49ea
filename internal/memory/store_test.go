package memory_test

import (
	"testing"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, memory.New())
}
