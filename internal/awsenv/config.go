// Package awsenv configures the AWS SDK from the environment of a Lambda
// function, without the SDK's config package, whose profiles, files and
// providers such a function never needs and pays for at every cold start.
package awsenv

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// attempt bounds one request to a service, of which the SDK makes several. A
// socket that went half-open while the environment was frozen would hang for
// minutes otherwise.
const attempt = 2 * time.Second

// keptOpen is how many connections to a host are kept for the next requests: as
// many as a function has requests under way at a time. The SDK's 10 would have
// most of the requests of a round of keepalive open one, for several times the
// processor time (BenchmarkPosts in internal/apigw).
const keptOpen = 128

// Config is the SDK's configuration by AWS_REGION, AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
func Config() aws.Config {
	return aws.Config{
		Region:      os.Getenv("AWS_REGION"),
		Credentials: aws.CredentialsProviderFunc(credentials),
		HTTPClient:  awshttp.NewBuildableClient().WithTimeout(attempt).WithTransportOptions(keepOpen),
	}
}

func keepOpen(t *http.Transport) { t.MaxIdleConnsPerHost, t.MaxIdleConns = keptOpen, 2*keptOpen }

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
