package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// inImage is the image's program, as root in its file system and as its user.
func inImage(t *testing.T, rootfs string, config v1.Config, args []string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		cmd := exec.Command(filepath.Join(rootfs, config.Entrypoint[0]), args...)
		cmd.Env = []string{"SSL_CERT_FILE=" + filepath.Join(rootfs, certificates)}
		return cmd
	}
	user, group, _ := strings.Cut(config.User, ":")
	id := func(text string) uint32 {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(n)
	}
	cmd := exec.Command(config.Entrypoint[0], args...)
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: rootfs, Credential: &syscall.Credential{Uid: id(user), Gid: id(group)}}
	return cmd
}
