package e2e

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"go.yaml.in/yaml/v3"

	"github.com/owt-signal/owt-signal/client"
	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// composition is what the example has of Compose's format (compose-spec, 05-services.md).
type composition struct {
	Name     string
	Services map[string]struct {
		Image       string
		PullPolicy  string `yaml:"pull_policy"`
		Command     string
		Environment map[string]string
		Ports       []string
		DependsOn   []string `yaml:"depends_on"`
		Restart     string
		StopGrace   string   `yaml:"stop_grace_period"`
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		SecurityOpt []string `yaml:"security_opt"`
		Ulimits     map[string]int
	}
	Networks map[string]struct {
		IPAM struct {
			Config []struct{ Subnet netip.Prefix }
		}
	}
}

// TestCompose serves as the example of a container does, with a real engine in the
// place of its DynamoDB Local.
func TestCompose(t *testing.T) {
	var c composition
	d := yaml.NewDecoder(strings.NewReader(example(t, "compose.yaml")))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	server, database := c.Services["owt-signal"], c.Services["dynamodb"]
	if len(c.Services) != 2 || !slices.Equal(server.DependsOn, []string{"dynamodb"}) || server.Environment["OWT_DYNAMODB"] != "http://dynamodb:8000" {
		t.Errorf("%d services, %v", len(c.Services), server)
	}
	if proxies := server.Environment["OWT_TRUSTED_PROXIES"]; proxies != c.Networks["default"].IPAM.Config[0].Subnet.String() {
		t.Errorf("trusts %s", proxies)
	}
	for _, image := range []string{server.Image, database.Image} {
		if !regexp.MustCompile(`:\d+\.\d+\.\d+$`).MatchString(image) {
			t.Errorf("%s is no version", image)
		}
	}
	changes, err := os.ReadFile(filepath.Join("..", "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	newest := regexp.MustCompile(`(?m)^## \[(\d\S*)\]`).FindSubmatch(changes)
	if len(newest) < 2 || server.Image != "localhost/owt-signal:"+string(newest[1]) {
		t.Errorf("has %s, and the newest version is %s", server.Image, newest)
	}
	help, err := exec.Command(binary, "-help").Output()
	if err != nil || !strings.Contains(string(help), "(default :8095)") || !slices.Equal(server.Ports, []string{"127.0.0.1:8095:8095"}) {
		t.Errorf("publishes %q, %v", server.Ports, err)
	}

	engine := storetest.Engine(t)
	for name, value := range server.Environment {
		t.Setenv(name, strings.ReplaceAll(value, "http://dynamodb:8000", engine))
	}
	table := "compose"
	t.Setenv("TABLE_NAME", table)
	s := serve(t, "-log", "warn")
	alice, err := client.Dial(t.Context(), strings.Replace(s.Plain, "http", "ws", 1)+"/prod", client.Options{Token: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close()
	if err := alice.Send(t.Context(), "alice", "hello"); err != nil {
		t.Error(err)
	}
	records := dynamodb.NewFromConfig(awsenv.ConfigOr("us-east-1", "local"), func(o *dynamodb.Options) { o.BaseEndpoint = &engine })
	if found, err := records.Scan(t.Context(), &dynamodb.ScanInput{TableName: &table}); err != nil || found.Count == 0 {
		t.Errorf("the table has %v, %v", found, err)
	}
}
