// Package secret reads secrets from files, AWS Secrets Manager and Systems
// Manager Parameter Store.
package secret

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// MaxSize is the longest value that Secrets Manager keeps, in bytes. Parameter
// Store keeps 8 KB at most.
const MaxSize = 64 << 10

// Read reads a secret from a file, if one is named, and otherwise by its ARN or name
// in AWS, as [Fetch] does.
func Read(ctx context.Context, config aws.Config, file, id string) ([]byte, error) {
	if file != "" {
		return ReadFile(file)
	}
	return Fetch(ctx, config, id)
}

// Fetch gets a secret from AWS Secrets Manager, if id is an ARN of that,
// and otherwise from Systems Manager Parameter Store, by name or ARN.
func Fetch(ctx context.Context, config aws.Config, id string) (s []byte, err error) {
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

// ReadFile reads a secret from a file. A line break at its end is the editor's.
func ReadFile(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	if len(b) > MaxSize {
		return nil, fmt.Errorf("read secret %s: more than %d bytes", name, MaxSize)
	}
	return bytes.TrimRight(b, "\r\n"), nil
}

// CheckText reports why s is not a secret as it is: that it is kept as JSON, as Secrets
// Manager's console suggests.
func CheckText(s []byte) error {
	if len(s) > 0 && s[0] == '{' {
		return errors.New("it is JSON: keep the secret as it is, as plain text")
	}
	return nil
}

// CheckID reports why id cannot name a secret; nil if it can.
func CheckID(id string) error {
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
