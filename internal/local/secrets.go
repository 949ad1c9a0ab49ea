package local

import (
	"log/slog"
	"os"
	"runtime"
)

// setFiles tells functions in other processes of files with secrets, wherever they
// run.
func (o *options) setFiles() {
	for variable, file := range map[string]string{"JWT_SECRET_FILE": o.auth.SecretFile, "AUTH_SECRET_FILE": o.auth.ServerSecretFile, "TURN_SECRET_FILE": o.ice.SecretFile, "LOG_USER_KEY_FILE": o.limits.LogKeyFile} {
		if file != "" {
			o.environment[variable] = file
		}
	}
}

// warnOfReadable warns of files with secrets that every user of this machine may
// read.
func (o *options) warnOfReadable(log *slog.Logger) {
	if runtime.GOOS == "windows" { // whose files have no such modes
		return
	}
	for _, file := range []string{o.auth.SecretFile, o.auth.ServerSecretFile, o.ice.SecretFile, o.limits.LogKeyFile, o.events.SecretFile, o.key, o.apiKeys} {
		if info, err := os.Stat(file); err == nil && info.Mode()&readableByOthers != 0 {
			log.Warn("a file with a secret is readable by others", "file", file, "mode", info.Mode().String())
		}
	}
}

const readableByOthers = 0o004
