package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/owt-signal/owt-signal/internal/setting"
)

// What is fetched from an issuer, at most.
const (
	fetchWithin = 2 * time.Second
	maxDocument = 256 << 10 // bytes
)

// issuerClient is how issuers are asked. Nothing leads elsewhere, and no
// connection is kept: by the next time it is used, the function may have been
// frozen for minutes, and the connection be dead without anyone having told.
var issuerClient = &http.Client{
	Timeout: fetchWithin,
	Transport: &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		DisableKeepAlives: true,
		ForceAttemptHTTP2: true,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// fetch gets a document.
func fetch(ctx context.Context, address string) ([]byte, error) {
	if err := setting.CheckSecureURL(address); err != nil {
		return nil, fmt.Errorf("fetch %s: %w", address, err)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", address, err)
	}
	r.Header.Set("Accept", "application/json")
	response, err := issuerClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err) // names the address
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch %s: %w", address, statusError{response.StatusCode, readRetryAfter(response.Header)})
	}
	document, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", address, err)
	}
	if len(document) > maxDocument {
		return nil, fmt.Errorf("fetch %s: more than %d bytes", address, maxDocument)
	}
	return document, nil
}

// statusError is an answer that is none.
type statusError struct {
	status     int
	retryAfter time.Duration // 0: not said
}

func (e statusError) Error() string { return fmt.Sprintf("status %d", e.status) }

// retryAfter returns for how long an answer asks not to be asked again.
func retryAfter(err error) time.Duration {
	e, _ := errors.AsType[statusError](err)
	return e.retryAfter
}

// readRetryAfter reads the header (RFC 9110, section 10.2.3): seconds, or a date,
// which counts from that of the answer. It returns [maxPause] at most.
func readRetryAfter(h http.Header) time.Duration {
	said := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(said, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(maxPause/time.Second))) * time.Second
	}
	until, err := http.ParseTime(said)
	from, errFrom := http.ParseTime(h.Get("Date"))
	if err != nil || errFrom != nil {
		return 0
	}
	return min(max(until.Sub(from), 0), maxPause)
}
