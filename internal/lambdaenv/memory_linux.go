package lambdaenv

import (
	"fmt"
	"os"
	"strings"
)

// maxMemory is the most memory in bytes that a process has had resident (proc(5), status, VmHWM); zero if it is gone.
// Unlike the resource usage of a child, it begins anew with the program.
func maxMemory(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, peak, _ := strings.Cut(string(status), "\nVmHWM:")
	var kilobytes int64
	_, _ = fmt.Sscan(peak, &kilobytes)
	return kilobytes << 10
}
