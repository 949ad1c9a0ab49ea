// Package versions says which clients are served, by the versions that they say
// they are.
package versions

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Default are the client versions that are accepted unless configured
// otherwise: those that OWT's reference server accepted, and the 5.x SDKs.
const Default = "4.2, 4.2.1, 4.3, 4.3.1, 5.x"

// MaxValue is the longest type or version that a client may say it is, in
// bytes.
const MaxValue = 64

// What a list of versions may hold.
const (
	maxVersionList    = 1024 // bytes
	maxVersionEntries = 64
)

// Policy says which clients are served, by the versions that they say they
// are. The zero value is that of [Default].
type Policy struct {
	types  map[string]versionRule // by the clients' types, in lower case
	others *versionRule           // nil: Default
}

// versionRule is what is served of one type of clients.
type versionRule struct {
	required bool // a client must say its version
	any      bool // whichever it is
	exact    []string
	families []string // with the dot that follows the family
	ranges   []versionRange
}

var defaultRule, _ = parseVersionRule(Default)

// Parse reads a list of versions, separated by commas:
//
//	4.3.1        that version
//	5.x          5, and every version that begins with "5."
//	>=5.0 <6     from 5.0 on, below 6; also with a comma between, in either order, or one bound alone; > and <= likewise
//	*            every version
//	required     a client must say its version; otherwise one that says none is served
//
// Lists of certain types of clients follow, each after a semicolon with the
// type before a colon: "5.x; Android: required, >=4.3". The first list is for
// all other clients; without one, or where it has no version, it is
// [Default]. Of two lists of one type the last counts.
func Parse(list string) (Policy, error) {
	v, err := parse(list)
	if err != nil {
		return Policy{}, fmt.Errorf("read versions: %w", err)
	}
	return v, nil
}

func parse(list string) (v Policy, err error) {
	if len(list) > maxVersionList {
		return v, fmt.Errorf("%d bytes, at most %d are allowed", len(list), maxVersionList)
	}
	for i, part := range strings.Split(list, ";") {
		kind, entries, typed := strings.Cut(part, ":")
		if !typed {
			kind, entries = "", kind
		}
		rule, err := parseVersionRule(entries)
		if err != nil {
			return v, err
		}
		rule = rule.orDefault()
		kind = strings.ToLower(strings.TrimSpace(kind))
		switch {
		case !typed && i == 0:
			if strings.TrimSpace(entries) != "" {
				v.others = &rule
			}
		case !typed && strings.TrimSpace(part) == "": // after the last semicolon
		case !typed:
			return v, fmt.Errorf("%q: the list for all types comes first, the others begin with a type and a colon", strings.TrimSpace(part))
		case kind == "" || len(kind) > MaxValue:
			return v, fmt.Errorf("%q: a list begins with a type of 1 to %d bytes", strings.TrimSpace(part), MaxValue)
		default:
			if v.types == nil {
				v.types = make(map[string]versionRule)
			}
			v.types[kind] = rule
		}
	}
	return v, nil
}

func parseVersionRule(entries string) (rule versionRule, err error) {
	count := 0
	var open *versionRange // a range that has one bound, and may have another
	for entry := range strings.FieldsFuncSeq(entries, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if count++; count > maxVersionEntries {
			return rule, fmt.Errorf("more than %d entries", maxVersionEntries)
		}
		b, isBound, err := parseBound(entry)
		switch {
		case err != nil:
			return rule, err
		case isBound && open.take(b):
			open = nil
			continue
		case isBound:
			rule.ranges = append(rule.ranges, newRange(b))
			open = &rule.ranges[len(rule.ranges)-1]
			continue
		}
		open = nil
		if err := rule.add(entry); err != nil {
			return rule, err
		}
	}
	return rule, nil
}

// orDefault returns the rule, with the default versions if it has none.
func (r versionRule) orDefault() versionRule {
	if !r.any && r.exact == nil && r.ranges == nil {
		r.exact, r.families = defaultRule.exact, defaultRule.families
	}
	return r
}

// add adds an entry that is no bound.
func (r *versionRule) add(entry string) error {
	family, whole := strings.CutSuffix(entry, ".x")
	switch {
	case entry == "required":
		r.required = true
	case entry == "*":
		r.any = true
	case !isVersion(family):
		return fmt.Errorf("%q is no version: a digit comes first, then letters, digits, dots, + and -", entry)
	case whole:
		r.exact, r.families = append(r.exact, family), append(r.families, family+".")
	default:
		r.exact = append(r.exact, entry)
	}
	return nil
}

// isVersion reports whether v looks like one.
func isVersion(v string) bool {
	if v == "" || len(v) > MaxValue || v[0] < '0' || v[0] > '9' {
		return false
	}
	for _, c := range []byte(v) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '+' && c != '-' {
			return false
		}
	}
	return true
}

// Accept reports whether that client is served. One that says no version is,
// unless it must: the 5.x SDKs do not.
func (v Policy) Accept(clientType, version string) bool {
	if len(version) > MaxValue || len(clientType) > MaxValue {
		return false
	}
	rule, ok := v.types[strings.ToLower(clientType)]
	switch {
	case ok:
	case v.others != nil:
		rule = *v.others
	default:
		rule = defaultRule
	}
	return rule.accepts(version)
}

func (r versionRule) accepts(version string) bool {
	if version == "" {
		return !r.required
	}
	if r.any || slices.Contains(r.exact, version) {
		return true
	}
	for _, family := range r.families {
		if strings.HasPrefix(version, family) {
			return true
		}
	}
	number, err := parseNumber(version)
	if err != nil {
		return false
	}
	for _, within := range r.ranges {
		if within.holds(number) {
			return true
		}
	}
	return false
}

// versionRange is the versions between two bounds, or above or below one.
type versionRange struct{ low, high *bound }

// bound is one end of a range.
type bound struct {
	number    versionNumber
	upper     bool
	inclusive bool
}

func newRange(b *bound) versionRange {
	if b.upper {
		return versionRange{high: b}
	}
	return versionRange{low: b}
}

func (r versionRange) holds(n versionNumber) bool {
	if r.low != nil {
		if c := n.compare(r.low.number); c < 0 || c == 0 && !r.low.inclusive {
			return false
		}
	}
	if r.high != nil {
		if c := n.compare(r.high.number); c > 0 || c == 0 && !r.high.inclusive {
			return false
		}
	}
	return true
}

// take makes b the other end of a range that has one, if it is.
func (r *versionRange) take(b *bound) bool {
	switch {
	case r == nil:
		return false
	case b.upper && r.high == nil:
		r.high = b
	case !b.upper && r.low == nil:
		r.low = b
	default:
		return false
	}
	return true
}

// parseBound reads an entry that is one end of a range, if it is.
func parseBound(entry string) (b *bound, is bool, err error) {
	for _, sign := range []string{">=", "<=", ">", "<"} {
		text, ok := strings.CutPrefix(entry, sign)
		if !ok {
			continue
		}
		number, err := parseNumber(text)
		if err != nil {
			return nil, true, fmt.Errorf("%q: %w (as in >=5.0, without a space)", entry, err)
		}
		return &bound{number, sign[0] == '<', len(sign) == 2}, true, nil
	}
	return nil, false, nil
}

// versionNumber is a version of numbers only, which has an order. Missing
// numbers are zero: 5 is 5.0.
type versionNumber [4]uint64

func (n versionNumber) compare(m versionNumber) int { return slices.Compare(n[:], m[:]) }

var errNumber = errors.New("the bound of a range is up to four numbers with dots between")

func parseNumber(text string) (n versionNumber, err error) {
	i := 0
	for part := range strings.SplitSeq(text, ".") {
		if i == len(n) || part == "" || len(part) > 9 || strings.Trim(part, "0123456789") != "" {
			return n, errNumber
		}
		if n[i], err = strconv.ParseUint(part, 10, 64); err != nil {
			return n, errNumber
		}
		i++
	}
	return n, nil
}
