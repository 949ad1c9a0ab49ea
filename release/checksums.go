package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// writeChecksums writes those of all files, for `sha256sum --check`.
func writeChecksums(out string) error {
	names, err := filepath.Glob(filepath.Join(out, "owt-signal_*")) // in order
	if err != nil {
		return err
	}
	return write(filepath.Join(out, "SHA256SUMS"), func(w io.Writer) error {
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "%x  %s\n", sha256.Sum256(data), filepath.Base(name)); err != nil {
				return err
			}
		}
		return nil
	})
}
