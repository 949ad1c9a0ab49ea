//go:build !unix

package lambdaenv

import (
	"os"
	"os/exec"
	"syscall"
)

// Without process groups, what a process has started is on its own, and every signal ends the process.

func ownGroup(*exec.Cmd) {}

func signalGroup(pid int, _ syscall.Signal) {
	if process, err := os.FindProcess(pid); err == nil {
		process.Kill()
	}
}
