//go:build unix

package socket

import (
	"net"
	"syscall"
)

// rawConn returns the socket under a connection; nil if there is something between, such as TLS.
func rawConn(conn net.Conn) syscall.RawConn {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// read reads what there is, and fails with EAGAIN if that is nothing yet.
func read(fd uintptr, p []byte) (n int, err error) {
	for n, err = syscall.Read(int(fd), p); err == syscall.EINTR; {
		n, err = syscall.Read(int(fd), p)
	}
	return n, err
}
