package lambdaenv

import (
	"context"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// process is the process of one environment, with all that it has started.
type process struct {
	cmd    *exec.Cmd
	logs   *lineWriter
	exited chan struct{} // closed when it is gone

	mu   sync.Mutex
	gone bool // its number may be another process's by now
}

// startProcess starts the bootstrap of a function with the address of its APIs.
func startProcess(config Config, runtimeAPI string, logs environmentLogs) (*process, error) {
	p := &process{logs: &lineWriter{logs: logs}, exited: make(chan struct{})}
	p.cmd = exec.Command(config.Bootstrap)
	p.cmd.Dir = filepath.Dir(config.Bootstrap)
	p.cmd.Env = variables(config, runtimeAPI)
	// The same writer for both: one pipe, and the lines keep their order.
	p.cmd.Stdout, p.cmd.Stderr = p.logs, p.logs
	// What it leaves running may hold the pipe.
	p.cmd.WaitDelay = ShutdownGrace
	ownGroup(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

// wait waits for the end of the process and says how it ended: empty for success, or in the words of os.ProcessState.
// Call it once.
func (p *process) wait() string {
	// The error tells nothing that the state does not.
	_ = p.cmd.Wait()
	p.mu.Lock()
	// End what it has started and left. The number of a group that has somebody in it is not given to another process.
	signalGroup(p.cmd.Process.Pid, syscall.SIGKILL)
	p.gone = true
	p.mu.Unlock()
	p.logs.flush()
	close(p.exited)
	if p.cmd.ProcessState.Success() {
		return ""
	}
	return p.cmd.ProcessState.String()
}

// stop ends the process: SIGTERM, and SIGKILL after ShutdownGrace or when ctx ends. It returns when the process is gone.
func (p *process) stop(ctx context.Context) {
	p.signal(syscall.SIGTERM)
	grace := time.NewTimer(ShutdownGrace)
	defer grace.Stop()
	select {
	case <-p.exited:
		return
	case <-grace.C:
	case <-ctx.Done():
	}
	p.kill()
	<-p.exited
}

// kill ends the process at once.
func (p *process) kill() { p.signal(syscall.SIGKILL) }

// signal sends a signal to the process and all that it has started, if it is not gone.
func (p *process) signal(signal syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		signalGroup(p.cmd.Process.Pid, signal)
	}
}
