package signal

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// UserName is the name a user is reached under: UTF-8 up to [MaxUserName] bytes,
// without U+FFFD.
type UserName string

// MaxUserName is the longest name, in bytes. DynamoDB allows 2048 for a key;
// what is left is for the key's prefix and for the logs' readers.
const MaxUserName = 256

// anonymous is what OWT's reference server appends to the names it makes up.
const anonymous = "@anonymous"

// CheckUserName returns an error if name is not a user's name.
func CheckUserName(name UserName) error {
	switch {
	case name == "":
		return fmt.Errorf("check user name: it is empty")
	case len(name) > MaxUserName:
		return fmt.Errorf("check user name: %d bytes, at most %d are allowed", len(name), MaxUserName)
	case !isText(string(name)):
		return fmt.Errorf("check user name: not UTF-8, or with U+FFFD in it")
	}
	return nil
}

// quoted returns how long the name is as a string of JSON, in bytes.
func (u UserName) quoted() int {
	n := len(`""`) + len(u)
	for _, c := range []byte(u) {
		switch {
		case c < ' ':
			n += len(`\u0000`) - 1
		case c == '"' || c == '\\':
			n++
		}
	}
	return n
}

// isText reports whether s is UTF-8 and has no U+FFFD, which decoders put in the
// place of what is none (Latin-1 in a header, half a surrogate pair in JSON):
// different names would become one.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, utf8.RuneError)
}

// Anonymous reports whether the name is one that was made up for a user who
// came without a token.
func (u UserName) Anonymous() bool { return strings.HasSuffix(string(u), anonymous) }
