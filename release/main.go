// Command release makes what is published of a version: an archive of owt-signal for
// each platform, an image for containers, a list of what is in them (SBOM), and their
// checksums. It builds a clone of the last commit, and reads the version from Git, as
// `go build` does. Two runs on one commit, with one version of Go, make the same bytes.
//
//	cd release && go run . -out ../dist
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

func run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("release", flag.ContinueOnError)
	source := fs.String("source", "..", "the Git repository to release, whose HEAD is built")
	out := fs.String("out", "../dist", "where to put the files; is made, and must be empty")
	only := fs.String("platforms", strings.Join(all, ","), "platforms to release for")
	snapshot := fs.Bool("snapshot", false, "release what is no version: a commit without a tag")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if there, err := filepath.Glob(filepath.Join(*out, "*")); err != nil || len(there) > 0 {
		return errors.Join(err, fmt.Errorf("make %s: it is not empty", *out))
	}
	scratch, err := os.MkdirTemp("", "release-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	clone := filepath.Join(scratch, "source")
	if output, err := exec.CommandContext(ctx, "git", "clone", "--quiet", *source, clone).CombinedOutput(); err != nil {
		return fmt.Errorf("clone %s: %w\n%s", *source, err, output)
	}
	var builds []build
	for platform := range strings.SplitSeq(*only, ",") {
		b, err := compile(ctx, clone, platform, scratch)
		if err != nil {
			return err
		}
		if !b.isVersion() && !*snapshot {
			return fmt.Errorf("release %s: it is no version; -snapshot releases it all the same", b.version())
		}
		builds = append(builds, b)
	}
	return publish(ctx, clone, *out, builds)
}

// publish writes all files of a release.
func publish(ctx context.Context, source, out string, builds []build) error {
	if err := os.MkdirAll(out, 0o750); err != nil {
		return err
	}
	all := modules(builds)
	licenses, err := thirdParty(ctx, source, all)
	if err != nil {
		return err
	}
	for _, b := range builds {
		if err := writeArchive(source, out, b, licenses); err != nil {
			return fmt.Errorf("archive %s: %w", b.platform, err)
		}
	}
	if err := writeImage(source, out, builds, licenses); err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	if err := writeSBOM(out, builds, all); err != nil {
		return fmt.Errorf("list components: %w", err)
	}
	return writeChecksums(out)
}
