package signal

import "strings"

// DefaultVersions are the client versions that are accepted unless configured
// otherwise: those that OWT's reference server accepted, and the 5.x SDKs.
var DefaultVersions = Versions{"4.2", "4.2.1", "4.3", "4.3.1", "5.x"}

// Versions is a list of accepted client versions. An entry that ends in ".x"
// stands for every version that begins so.
type Versions []string

// ParseVersions reads a list separated by commas; an empty one is
// [DefaultVersions].
func ParseVersions(list string) Versions {
	var v Versions
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			v = append(v, entry)
		}
	}
	if len(v) == 0 {
		return DefaultVersions
	}
	return v
}

// Accept reports whether a client of that version is served. A client that
// says none is: the 5.x SDKs do not.
func (v Versions) Accept(version string) bool {
	if version == "" {
		return true
	}
	for _, entry := range v {
		family, whole := strings.CutSuffix(entry, ".x")
		if version == entry || whole && (version == family || strings.HasPrefix(version, family+".")) {
			return true
		}
	}
	return false
}
