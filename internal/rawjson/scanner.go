package rawjson

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// scanner steps over JSON (RFC 8259), checking it. It tells where values end, refuses nesting beyond MaxDepth, and takes
// a fraction of encoding/json's time (go test -run - -bench Event). It does not look whether strings are UTF-8.
type scanner struct {
	data    []byte
	pos     int
	checked bool // the data has been: of a string only the end is looked for
}

// peek gives the next byte, or 0, which is no part of valid JSON, at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for {
		switch s.peek() {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// end makes sure that nothing but white space is left.
func (s *scanner) end() error {
	if s.space(); s.pos < len(s.data) {
		return ErrSyntax
	}
	return nil
}

// value steps over the value that begins here, within depth open arrays and objects.
func (s *scanner) value(depth int) error {
	switch s.peek() {
	case '"':
		return s.string()
	case '[':
		return s.array(depth)
	case '{':
		return s.object(depth)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

func (s *scanner) array(depth int) error {
	return s.each(depth, ']', func() error { return s.value(depth + 1) })
}

func (s *scanner) object(depth int) error {
	return s.each(depth, '}', func() error {
		if err := s.name(); err != nil {
			return err
		}
		return s.value(depth + 1)
	})
}

// each steps over the array or object that begins here, within depth open ones, and calls item where one of its elements
// or members begins, which it must step over.
func (s *scanner) each(depth int, closing byte, item func() error) error {
	if depth >= MaxDepth {
		return ErrDepth
	}
	s.pos++
	for first := true; ; first = false {
		more, err := s.more(first, closing)
		if err != nil || !more {
			return err
		}
		if err := item(); err != nil {
			return err
		}
	}
}

// more goes to where the next element of an array or the next member of an object must begin, or, if there is none,
// behind the closing bracket.
func (s *scanner) more(first bool, closing byte) (bool, error) {
	s.space()
	switch c := s.peek(); {
	case c == closing:
		s.pos++
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.pos++
		s.space()
		return true, nil
	}
	return false, ErrSyntax
}

// name steps over a member's name and its colon.
func (s *scanner) name() error {
	if err := s.string(); err != nil {
		return err
	}
	return s.colon()
}

// colon steps over the colon behind a member's name.
func (s *scanner) colon() error {
	if s.space(); s.peek() != ':' {
		return ErrSyntax
	}
	s.pos++
	s.space()
	return nil
}

// string steps over the string that must begin here.
func (s *scanner) string() error {
	if s.peek() != '"' {
		return ErrSyntax
	}
	if s.checked {
		return s.checkedString()
	}
	for i := s.pos + 1; i < len(s.data); i++ {
		if i += plain(s.data[i:]); i == len(s.data) {
			break
		}
		switch c := s.data[i]; {
		case c == '"':
			s.pos = i + 1
			return nil
		case c < ' ':
			return ErrSyntax
		case c == '\\':
			n := escape(s.data[i+1:])
			if n == 0 {
				return ErrSyntax
			}
			i += n
		}
	}
	return ErrSyntax
}

// checkedString steps over a string that has been checked: the first quotation mark ends it with an even number of
// backslashes before it.
func (s *scanner) checkedString() error {
	for i := s.pos + 1; ; i++ {
		n := bytes.IndexByte(s.data[i:], '"')
		if n < 0 {
			return ErrSyntax
		}
		i += n
		backslashes := 0
		for s.data[i-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			s.pos = i + 1
			return nil
		}
	}
}

// plain gives how many of the first bytes are certainly neither a quotation mark nor a backslash nor a control character:
// it looks at 8 at a time, and stops at the first that is one. ("Determine if a word has a byte less than n", Bit
// Twiddling Hacks: of the bytes that the subtraction marks, the lowest is always right.)
func plain(b []byte) (n int) {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; len(b)-n >= 8; n += 8 {
		w := binary.LittleEndian.Uint64(b[n:])
		quote, backslash := w^ones*'"', w^ones*'\\'
		found := ((w-ones*' ')&^w | (quote-ones)&^quote | (backslash-ones)&^backslash) & highs
		if found != 0 {
			return n + bits.TrailingZeros64(found)/8
		}
	}
	return n
}

// escape gives how many bytes after a backslash belong to it, or 0 if they are no escape sequence.
func escape(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(b) >= 5 && isHex(b[1]) && isHex(b[2]) && isHex(b[3]) && isHex(b[4]) {
			return 5
		}
	}
	return 0
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return ErrSyntax
	}
	s.pos += len(word)
	return nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return ErrSyntax
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return ErrSyntax
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return ErrSyntax
		}
	}
	return nil
}

// digits steps over decimal digits and tells whether there were any.
func (s *scanner) digits() bool {
	start := s.pos
	for isDigit(s.peek()) {
		s.pos++
	}
	return s.pos > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }
