// Package rawjson takes JSON apart without decoding it: the parts are the exact
// bytes of the whole, so that a relay passes on what it was given.
package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how many arrays and objects may be within each other; the JSON
// parsers of the Android and C++ clients recurse.
const MaxDepth = 128

// What is wrong with JSON, without any of its content.
var (
	ErrSyntax = errors.New("invalid JSON")
	ErrDepth  = errors.New("JSON nested too deeply")
	ErrCount  = errors.New("too many elements")
)

// Check tells whether data is one JSON value (RFC 8259), nested at most
// [MaxDepth] deep, without white space before it.
func Check(data []byte) error {
	s := scanner{data: data}
	if err := s.value(0); err != nil {
		return err
	}
	return s.end()
}

// Elements gives the elements of a JSON array of at most limit elements, each
// a part of data.
func Elements(data []byte, limit int) ([]json.RawMessage, error) {
	s := scanner{data: data}
	if s.peek() != '[' {
		return nil, ErrSyntax
	}
	elements := make([]json.RawMessage, 0, 2)
	err := s.each(0, ']', func() error {
		if len(elements) == limit {
			return ErrCount
		}
		start := s.pos
		if err := s.value(1); err != nil {
			return err
		}
		elements = append(elements, data[start:s.pos:s.pos])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return elements, s.end()
}

// Member is a member of a JSON object. Its value is a part of the object, and
// so is its name, unless that has escapes.
type Member struct {
	Name  []byte
	Value json.RawMessage
}

// Members gives the members of a JSON object of at most limit members, in
// their order, appended to room. A name may occur more than once.
func Members(room []Member, data []byte, limit int) ([]Member, error) {
	return members(room, scanner{data: data}, limit)
}

// MembersOf gives those of a value that has been checked, such as one that [Elements]
// has given, in less time.
func MembersOf(room []Member, value json.RawMessage, limit int) ([]Member, error) {
	return members(room, scanner{data: value, checked: true}, limit)
}

func members(room []Member, s scanner, limit int) ([]Member, error) {
	data := s.data
	if s.peek() != '{' {
		return nil, ErrSyntax
	}
	all := room
	err := s.each(0, '}', func() error {
		if len(all)-len(room) == limit {
			return ErrCount
		}
		start := s.pos
		if err := s.string(); err != nil {
			return err
		}
		name := data[start+1 : s.pos-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			text, _ := Text(data[start:s.pos])
			name = []byte(text)
		}
		if err := s.colon(); err != nil {
			return err
		}
		start = s.pos
		if err := s.value(1); err != nil {
			return err
		}
		all = append(all, Member{name, data[start:s.pos:s.pos]})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, s.end()
}

// AppendMembers appends members to a value that is one of an object, as they follow
// it there: 1,"name":2. It leaves the value itself as it is.
func AppendMembers(value json.RawMessage, members []Member) json.RawMessage {
	value = slices.Clip(value)
	for _, m := range members {
		value = AppendString(append(value, ','), string(m.Name))
		value = append(append(value, ':'), m.Value...)
	}
	return value
}

// First gives the value that members may follow, as [AppendMembers] has them.
func First(value json.RawMessage) json.RawMessage {
	s := scanner{data: value, checked: true}
	if s.value(0) != nil {
		return value
	}
	return value[:s.pos:s.pos]
}

// Text gives the text of a JSON string that has been checked; ok is false if
// the value is something else.
func Text(value json.RawMessage) (text string, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	err := json.Unmarshal(value, &text)
	return text, err == nil
}

// AppendString appends s as a JSON string, with the escapes of JSON.stringify and no others. What is not UTF-8 in s
// becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r >= ' ':
			dst = utf8.AppendRune(dst, r)
		default:
			dst = appendControl(dst, byte(r))
		}
	}
	return append(dst, '"')
}

func appendControl(dst []byte, c byte) []byte {
	if short := strings.IndexByte("\b\t\n\f\r", c); short >= 0 {
		return append(dst, '\\', "btnfr"[short])
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
}
