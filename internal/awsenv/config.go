// Package awsenv configures the AWS SDK from the environment of a Lambda
// function, without the SDK's config package, whose profiles, files and
// providers such a function never needs and pays for at every cold start.
package awsenv

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Config is the SDK's configuration by AWS_REGION, AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
func Config() aws.Config {
	return aws.Config{
		Region:      os.Getenv("AWS_REGION"),
		Credentials: aws.CredentialsProviderFunc(credentials),
		HTTPClient:  NewClient(attempt),
	}
}

// ConfigOr is [Config] where the environment says nothing of it with that
// region, and with credentials that mean nothing, as a local endpoint takes.
func ConfigOr(region, credential string) aws.Config {
	c := Config()
	if c.Region == "" {
		c.Region = region
	}
	if os.Getenv("AWS_ACCESS_KEY_ID") == "" {
		c.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: credential, SecretAccessKey: credential, Source: "local"}, nil
		})
	}
	return c
}

// Endpoint is the endpoint that the environment gives for a service, such as
// DYNAMODB, in the variable that all AWS SDKs read; nil if none.
func Endpoint(service string) *string {
	if url := os.Getenv("AWS_ENDPOINT_URL_" + service); url != "" {
		return &url
	}
	return nil
}

// URLSuffix is what the host names of AWS's services end with in a Region, by
// URL_SUFFIX, which template.yaml sets to AWS::URLSuffix, or else by the
// Region's partition.
func URLSuffix(region string) string {
	if suffix := os.Getenv("URL_SUFFIX"); suffix != "" {
		return suffix
	}
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "amazonaws.com.cn"
	case strings.HasPrefix(region, "eusc-"):
		return "amazonaws.eu"
	default:
		return "amazonaws.com"
	}
}

func credentials(context.Context) (aws.Credentials, error) {
	c := aws.Credentials{
		AccessKeyID:     os.Getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    os.Getenv("AWS_SESSION_TOKEN"),
		Source:          "environment",
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return c, errors.New("read credentials: AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set")
	}
	return c, nil
}
