package deploy

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/owt-signal/owt-signal/internal/need"
)

// TestGuided answers each question of `sam deploy --guided` with Enter, as the
// README says one may.
func TestGuided(t *testing.T) {
	t.Parallel()
	e := startEmulator(t)
	dir := t.TempDir()        // the answers are written to samconfig.toml
	const asItComes = "arm64" // the template's default
	if err := os.CopyFS(filepath.Join(dir, ".aws-sam"), os.DirFS(filepath.Join(built(t, asItComes), ".aws-sam"))); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(need.Root(), "samconfig.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "samconfig.toml"), config, 0o600); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), deploysWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, need.File(t, ".venv/bin/sam", installs), "deploy", "--guided")
	cmd.Dir, cmd.Env = dir, append(e.environment(), "TERM=dumb")
	said, questions, err := converse(cmd)
	if err != nil {
		t.Fatalf("sam deploy --guided: %v, after %d questions:\n%s", err, questions, said)
	}
	parameters := strings.Count(said, "Parameter ")
	t.Logf("%d questions, %d of parameters", questions, parameters)
	if parameters < 40 {
		t.Errorf("asked for %d parameters, want all", parameters)
	}
	e.stack(t)

	// Next time without questions, as the answers say.
	if out, err := e.sam(t, dir, "deploy", "--no-confirm-changeset", "--no-fail-on-empty-changeset"); err != nil || !strings.Contains(out, "No changes to deploy") {
		t.Errorf("sam deploy with the answers: %v\n%s", err, out)
	}
}

var question = regexp.MustCompile(`\[[^\[\]\n]*\]: ?$`)

// converse runs a command on a terminal and answers its questions with Enter. It
// returns what the command said, and how many questions that were.
func converse(cmd *exec.Cmd) (said string, questions int, err error) {
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 250})
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = terminal.Close() }()
	var all strings.Builder
	asked := "" // since the last answer
	for buffer := make([]byte, 4096); ; {
		n, err := terminal.Read(buffer)
		if err != nil { // EIO, when the command is over
			return all.String(), questions, cmd.Wait()
		}
		all.Write(buffer[:n])
		asked += string(buffer[:n])
		if !question.MatchString(asked) {
			continue
		}
		asked = ""
		questions++
		if _, err := terminal.WriteString("\r"); err != nil {
			return all.String(), questions, cmd.Wait()
		}
	}
}
