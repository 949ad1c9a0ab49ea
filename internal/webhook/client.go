package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/owt-signal/owt-signal/internal/awsenv"
)

// Client posts to one URL. It is safe for concurrent use.
type Client struct {
	url  string
	name string // the URL without its query, which may have a key in it
	key  []byte
	now  func() time.Time
	http *awsenv.Client
}

// NewClient returns a Client that signs with a key. Each request may take timeout,
// reading the answer included.
func NewClient(address string, key []byte, timeout time.Duration, now func() time.Time) *Client {
	name := address
	if u, err := url.Parse(address); err == nil {
		u.RawQuery = ""
		name = u.Redacted()
	}
	return &Client{url: address, name: name, key: key, now: now, http: awsenv.NewClient(timeout)}
}

// Name returns the URL as it may be logged.
func (c *Client) Name() string { return c.name }

// Post posts JSON, and returns the answer, which may have most bytes. Any status
// but those of success is an error, that of a redirect as well. Errors quote neither
// what was posted nor the answer.
func (c *Client) Post(ctx context.Context, body []byte, most int) ([]byte, error) {
	response, err := c.post(ctx, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, int64(most)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", err)
	case len(answer) > most:
		return nil, fmt.Errorf("its answer has more than %d bytes", most)
	}
	return answer, nil
}

// Tell posts JSON as [Client.Post] does. Of the answer only the status counts.
func (c *Client) Tell(ctx context.Context, body []byte) error {
	response, err := c.post(ctx, body)
	if err != nil {
		return err
	}
	// Read, so that the connection can be used again.
	_, _ = io.CopyN(io.Discard, response.Body, maxIgnored)
	return response.Body.Close()
}

// maxIgnored is how much of an answer is read that does not matter, in bytes.
const maxIgnored = 16 << 10

// post posts JSON, and returns the answer of a server that says that it succeeded.
func (c *Client) post(ctx context.Context, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("it is no URL") // the error would quote it
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "owt-signal")
	r.Header.Set(Header, sign(c.key, c.now(), body))
	// Not sent: that it may be sent again where the server has just closed the
	// connection (net/http.Transport).
	r.Header["Idempotency-Key"] = nil
	response, err := c.http.Do(r)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the URL
		}
		return nil, err
	}
	if response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusMultipleChoices {
		_ = response.Body.Close()
		return nil, fmt.Errorf("it answered with status %d", response.StatusCode)
	}
	return response, nil
}
