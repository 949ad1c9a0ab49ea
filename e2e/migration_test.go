package e2e

import (
	"context"
	"testing"
)

// TestMigrationGuide runs the JavaScript of docs/migration.md.
func TestMigrationGuide(t *testing.T) {
	s := serve(t, "-log", "warn")
	ctx, cancel := context.WithTimeout(context.Background(), clientsWithin)
	defer cancel()
	node(ctx, t, []string{"SERVER=" + s.Plain}, "migration/migration.test.mjs")
}
