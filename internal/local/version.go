package local

import (
	"runtime/debug"
	"strings"
)

// version says what the program of a build is, and what it was built from.
func version(info *debug.BuildInfo) string {
	built := make(map[string]string)
	for _, s := range info.Settings {
		built[s.Key] = s.Value
	}
	words := []string{"owt-signal", info.Main.Version}
	if revision := built["vcs.revision"]; revision != "" {
		words = append(words, "revision", revision, "of", built["vcs.time"])
	}
	if built["vcs.modified"] == "true" {
		words = append(words, "with changes")
	}
	return strings.Join(append(words, info.GoVersion, built["GOOS"]+"/"+built["GOARCH"]), " ")
}
