package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// hashSize is how long a secret must be at least, by the algorithm (RFC 7518,
// section 3.2), in bytes.
var hashSize = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

// maxSecret is the longest value that Secrets Manager and Parameter Store keep.
const maxSecret = 64 << 10

// secret is a key that the issuer shares.
type secret []byte

// find implements [keySource].
func (s secret) find(context.Context, string, string) ([]any, error) { return []any{[]byte(s)}, nil }

// checkSecret says what keeps a secret from being one, if anything does.
func checkSecret(s []byte, algorithms []string) error {
	switch {
	case len(s) > 0 && s[0] == '{':
		return errors.New("it is JSON: keep the secret as it is, as plain text")
	case len(algorithms) == 0:
		return fmt.Errorf("%d bytes are too short, HS256 needs %d", len(s), hashSize["HS256"])
	}
	for _, algorithm := range algorithms {
		if least := hashSize[algorithm]; len(s) < least {
			return fmt.Errorf("%d bytes are too short for %s, which needs %d", len(s), algorithm, least)
		}
	}
	return nil
}

// longEnough are those of the algorithms that a secret is long enough for.
func longEnough(s []byte) []string {
	var fit []string
	for algorithm, least := range hashSize {
		if len(s) >= least {
			fit = append(fit, algorithm)
		}
	}
	slices.Sort(fit)
	return fit
}

// readSecretFile reads a secret from a file. A line break at its end is the
// editor's.
func readSecretFile(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	if len(b) > maxSecret {
		return nil, fmt.Errorf("read secret %s: more than %d bytes", name, maxSecret)
	}
	return []byte(strings.TrimRight(string(b), "\r\n")), nil
}

// fetchSecret gets a secret from AWS Secrets Manager, if id is an ARN of that,
// and otherwise from Systems Manager Parameter Store, by name or ARN.
func fetchSecret(ctx context.Context, config aws.Config, id string) (s []byte, err error) {
	if parts := strings.SplitN(id, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		config.Region = parts[3]
		if parts[2] == "secretsmanager" {
			s, err = secretOf(ctx, config, id)
		} else {
			s, err = parameterOf(ctx, config, id)
		}
	} else {
		s, err = parameterOf(ctx, config, id)
	}
	if err != nil {
		return nil, fmt.Errorf("get secret %s: %w", id, err)
	}
	return s, nil
}

// checkSecretID says what keeps id from naming a secret.
func checkSecretID(id string) error {
	parts := strings.SplitN(id, ":", 6)
	switch {
	case parts[0] != "arn": // a name, which may have a version or a label after a colon
		return nil
	case len(parts) == 6 && (parts[2] == "secretsmanager" || parts[2] == "ssm") && parts[3] != "":
		return nil
	default:
		return errors.New("it is no ARN of Secrets Manager or Parameter Store")
	}
}

// secretOf calls GetSecretValue (AWS Secrets Manager API Reference).
func secretOf(ctx context.Context, config aws.Config, id string) ([]byte, error) {
	var out struct {
		SecretString *string
		SecretBinary string
	}
	err := call(ctx, config, operation{"secretsmanager", "secretsmanager.GetSecretValue", "SECRETS_MANAGER"}, map[string]any{"SecretId": id}, &out)
	switch {
	case err != nil:
		return nil, err
	case out.SecretString != nil:
		return []byte(*out.SecretString), nil
	default:
		return base64.StdEncoding.DecodeString(out.SecretBinary)
	}
}

// parameterOf calls GetParameter (AWS Systems Manager API Reference).
func parameterOf(ctx context.Context, config aws.Config, id string) ([]byte, error) {
	var out struct{ Parameter struct{ Value string } }
	err := call(ctx, config, operation{"ssm", "AmazonSSM.GetParameter", "SSM"}, map[string]any{"Name": id, "WithDecryption": true}, &out)
	return []byte(out.Parameter.Value), err
}
