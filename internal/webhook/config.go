package webhook

import (
	"errors"
	"path/filepath"

	"github.com/owt-signal/owt-signal/internal/setting"
)

// Config is which server is told of events, in words.
type Config struct {
	URL        string // empty: none
	SecretFile string
}

// Settings returns all parameters there are, all of owt-signal.
func (c *Config) Settings() []setting.Setting {
	return []setting.Setting{
		setting.Own("events-url", "`URL` of the server that is told who comes and goes, by https unless it is on this machine (default none)",
			setting.Text(&c.URL, setting.CheckSecureURL)),
		setting.Own("events-secret-file", "with -events-url: `file` with the secret that what it is told is signed with",
			setting.Parsed(&c.SecretFile, filepath.Abs)),
	}
}

// Check says what does not go together.
func (c *Config) Check() error {
	switch {
	case c.URL != "" && c.SecretFile == "":
		return errors.New("-events-url needs a secret to sign with: -events-secret-file")
	case c.URL == "" && c.SecretFile != "":
		return errors.New("-events-secret-file needs -events-url")
	default:
		return nil
	}
}
