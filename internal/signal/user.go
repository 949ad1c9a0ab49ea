package signal

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// UserName is the name a user is reached under: any UTF-8 up to
// [MaxUserName] bytes.
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
	case !utf8.ValidString(string(name)):
		return fmt.Errorf("check user name: not UTF-8")
	}
	return nil
}

// Anonymous reports whether the name is one that was made up for a user who
// came without a token.
func (u UserName) Anonymous() bool { return strings.HasSuffix(string(u), anonymous) }
