package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDistribution runs the function of the template's CloudFront distribution,
// alone and before a server, in whose place it chooses as the origins.
func TestDistribution(t *testing.T) {
	template, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^      FunctionCode: !Sub \|\n((?:        .*\n|\n)+)`).FindSubmatch(template)
	if m == nil {
		t.Fatal("template.yaml has no function of CloudFront")
	}
	code := regexp.MustCompile(`(?m)^        `).ReplaceAllString(string(m[1]), "")
	code = strings.ReplaceAll(code, "${StageName}", "prod")
	if strings.Contains(code, "${") {
		t.Fatalf("not everything is replaced in\n%s", code)
	}
	s := serve(t, "-log", "warn")
	node(t.Context(), t, []string{"CODE=" + code, "SERVER=" + s.Plain}, "distribution/distribution.test.mjs")
}
