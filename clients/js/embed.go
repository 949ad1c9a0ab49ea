// Package js is the JavaScript client, for the page that the local server
// serves. README.md says how to use it elsewhere.
package js

import "embed"

// Files is the modules of the client; index.js is the one to import.
//
//go:embed *.js
var Files embed.FS
