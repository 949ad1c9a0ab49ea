package limits

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/owt-signal/owt-signal/internal/setting"
)

const maxOrigins = 64

// origins reads a list separated by commas or space.
func origins(v string) ([]string, error) {
	list := setting.List(v)
	if len(list) == 0 {
		return nil, setting.ErrEmptyList
	}
	if len(list) > maxOrigins {
		return nil, fmt.Errorf("%d, at most %d are allowed", len(list), maxOrigins)
	}
	for i, o := range list {
		var err error
		if list[i], err = canonicalOrigin(o); err != nil {
			return nil, fmt.Errorf("%q %w", o, err)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// nullOrigin is what browsers say of pages that have none, such as files and
// sandboxed frames (HTML Standard, "ASCII serialization of an origin").
const nullOrigin = "null"

// What an origin can be wrong by.
var (
	errNoOrigin = errors.New("is not an origin such as https://example.com")
	errNotASCII = errors.New("is not as browsers write it, whose names are ASCII, such as https://xn--bcher-kva.example")
	errWildcard = errors.New("may have * only for its first label, as in https://*.example.com")
)

// canonicalOrigin writes an origin as browsers do: a scheme, a host and the port
// unless that is the scheme's own, in small letters (RFC 6454, section 6.2). The
// first label of the host may be *.
func canonicalOrigin(text string) (string, error) {
	o := strings.ToLower(text)
	if o == nullOrigin {
		return o, nil
	}
	u, err := url.Parse(o)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.Scheme+"://"+u.Host != o || strings.HasSuffix(o, ":") {
		return "", errNoOrigin
	}
	host, err := canonicalHost(u.Hostname())
	if err != nil {
		return "", err
	}
	port, err := canonicalPort(u.Scheme, u.Port())
	return u.Scheme + "://" + host + port, err
}

func canonicalHost(host string) (string, error) {
	if strings.Contains(host, ":") {
		ip, err := netip.ParseAddr(host)
		if err != nil || ip.Zone() != "" {
			return "", errNoOrigin
		}
		return "[" + ip.String() + "]", nil
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }) {
		return "", errNotASCII
	}
	if rest, _ := strings.CutPrefix(host, "*."); rest == "" || strings.Contains(rest, "*") {
		return "", errWildcard
	}
	return host, nil
}

func canonicalPort(scheme, port string) (string, error) {
	if port == "" {
		return "", nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", errNoOrigin
	}
	if scheme == "http" && n == 80 || scheme == "https" && n == 443 {
		return "", nil
	}
	return ":" + strconv.FormatUint(n, 10), nil
}
