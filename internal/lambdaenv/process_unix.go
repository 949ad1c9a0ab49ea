//go:build unix

package lambdaenv

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the process the first of a process group, with its own number.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signalGroup sends a signal to a process group. That nobody is left in it is no error.
func signalGroup(pid int, signal syscall.Signal) { _ = syscall.Kill(-pid, signal) }
