package local

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
)

// logUserKey is the variable that may have the secret by which users are logged:
// a command line shows in the list of processes, and stays in the shell's history.
const logUserKey = "LOG_USER_KEY"

// setSecrets takes secrets that are no flags, and hands those that are files to
// functions in other processes, wherever they run.
func (o *options) setSecrets() error {
	if key := os.Getenv(logUserKey); key != "" {
		if o.limits.LogKey != "" {
			return fmt.Errorf("-log-user-key-file and the variable %s: only one of them", logUserKey)
		}
		o.limits.LogKey, o.environment[logUserKey] = key, key
	}
	for variable, file := range map[string]string{"JWT_SECRET_FILE": o.auth.SecretFile, "TURN_SECRET_FILE": o.ice.SecretFile, "LOG_USER_KEY_FILE": o.limits.LogKeyFile} {
		if file != "" {
			o.environment[variable] = file
		}
	}
	return nil
}

// warnOfReadable warns of files with secrets that every user of this machine may
// read.
func (o *options) warnOfReadable(log *slog.Logger) {
	if runtime.GOOS == "windows" { // whose files have no such modes
		return
	}
	for _, file := range []string{o.auth.SecretFile, o.ice.SecretFile, o.limits.LogKeyFile, o.key} {
		if info, err := os.Stat(file); err == nil && info.Mode()&readableByOthers != 0 {
			log.Warn("a file with a secret is readable by others", "file", file, "mode", info.Mode().String())
		}
	}
}

const readableByOthers = 0o004
