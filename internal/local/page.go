package local

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/owt-signal/owt-signal/clients/js"
	"github.com/owt-signal/owt-signal/internal/auth"
)

// assets is where the page's files are served. No stage has a dot in its name.
const assets = "/.page/"

//go:embed page
var pageFiles embed.FS

// policy lets the page load its own files and speak with its own server, and
// nothing else. No inline script, no eval (CSP Level 3).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// kinds is the files there are: no others are served.
var kinds = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// page is the page to try the server with, at /. Everything else is next's.
type page struct {
	next  http.Handler
	index []byte
}

func newPage(next http.Handler, o options, listeners []listener) (*page, error) {
	t, err := template.ParseFS(pageFiles, "page/index.html")
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	port := ""
	for _, l := range listeners {
		if l.http == "https" {
			_, port, _ = net.SplitHostPort(l.Addr().String())
		}
	}
	var index bytes.Buffer
	about := struct {
		Prefix, Stage, Secure string
		Tokens                bool // more than names are asked for
	}{assets, o.stage, port, o.auth.Mode != "" && o.auth.Mode != auth.ModeToken}
	if err := t.Execute(&index, about); err != nil {
		return nil, fmt.Errorf("write page: %w", err)
	}
	return &page{next, index.Bytes()}, nil
}

// ServeHTTP serves the page to those who do not want a WebSocket.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ours := strings.CutPrefix(r.URL.Path, assets)
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead, r.Header.Get("Upgrade") != "":
		p.next.ServeHTTP(w, r)
	case r.URL.Path == "/":
		answer(w, r, "text/html; charset=utf-8", p.index)
	case ours && kinds[path.Ext(file)] != "":
		if b, err := asset(file); err == nil {
			answer(w, r, kinds[path.Ext(file)], b)
			return
		}
		fallthrough
	default:
		p.next.ServeHTTP(w, r)
	}
}

// asset is a file of the page, or of the client, which the page uses as it is.
func asset(name string) ([]byte, error) {
	if module, ok := strings.CutPrefix(name, "client/"); ok {
		return fs.ReadFile(js.Files, module)
	}
	return fs.ReadFile(pageFiles, path.Join("page", name))
}

func answer(w http.ResponseWriter, r *http.Request, kind string, body []byte) {
	for name, value := range map[string]string{
		"Content-Type":            kind,
		"Content-Security-Policy": policy,
		"X-Content-Type-Options":  "nosniff",
		"Referrer-Policy":         "no-referrer",
		"Permissions-Policy":      "camera=(self), microphone=(self)",
		"Cache-Control":           "no-cache",
	} {
		w.Header().Set(name, value)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}
