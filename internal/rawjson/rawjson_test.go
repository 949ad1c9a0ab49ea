package rawjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/owt-signal/owt-signal/internal/rawjson"
)

func nested(depth int) []byte {
	return []byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))
}

func TestDepth(t *testing.T) {
	if err := rawjson.Check(nested(rawjson.MaxDepth)); err != nil {
		t.Errorf("%d deep: %v", rawjson.MaxDepth, err)
	}
	for _, depth := range []int{rawjson.MaxDepth + 1, 100_000} {
		if err := rawjson.Check(nested(depth)); !errors.Is(err, rawjson.ErrDepth) {
			t.Errorf("%d deep: %v", depth, err)
		}
	}
	deep := append(append([]byte(`{"a":`), nested(rawjson.MaxDepth)...), '}')
	if _, err := rawjson.Members(nil, deep, 1); !errors.Is(err, rawjson.ErrDepth) {
		t.Errorf("one deeper within an object: %v", err)
	}
}

func TestMembers(t *testing.T) {
	members, err := rawjson.Members(nil, []byte(`{ "a" : 1.10 , "\u0062":{"x":[ ]},"a":"<é>" } `), 3)
	if err != nil || len(members) != 3 {
		t.Fatalf("%v, %v", members, err)
	}
	for i, want := range []struct{ name, value string }{{"a", "1.10"}, {"b", `{"x":[ ]}`}, {"a", `"<é>"`}} {
		if m := members[i]; string(m.Name) != want.name || string(m.Value) != want.value {
			t.Errorf("member %d is %s: %s", i, m.Name, m.Value)
		}
	}
	for text, want := range map[string]error{
		`{"a":1,"b":2}`: rawjson.ErrCount, `[]`: rawjson.ErrSyntax, `{"a" 1}`: rawjson.ErrSyntax, `{a:1}`: rawjson.ErrSyntax,
		`{"a":}`: rawjson.ErrSyntax, `{"a":1}x`: rawjson.ErrSyntax, `{`: rawjson.ErrSyntax, ``: rawjson.ErrSyntax,
	} {
		if _, err := rawjson.Members(nil, []byte(text), 1); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

func TestText(t *testing.T) {
	for value, want := range map[string]string{`"a"`: "a", `"\u7528户\n"`: "用户\n", `""`: ""} {
		if got, ok := rawjson.Text([]byte(value)); !ok || got != want {
			t.Errorf("%s: %q, %v", value, got, ok)
		}
	}
	for _, value := range []string{`1`, `null`, `{}`, `["a"]`, ``} {
		if got, ok := rawjson.Text([]byte(value)); ok {
			t.Errorf("%s: %q", value, got)
		}
	}
}

func TestAppendString(t *testing.T) {
	tests := []struct{ s, want string }{
		{"", `""`},
		{"用户1", `"用户1"`},
		{"111&222@!;||(){}[]?", `"111&222@!;||(){}[]?"`},
		{`"\/`, `"\"\\/"`},
		{"\x00\x07\b\t\n\v\f\r\x1f\x7f", `"\u0000\u0007\b\t\n\u000b\f\r\u001f` + "\x7f\""},
		{"<script>", `"<script>"`},
		{"\u2028😀\ufffd", "\"\u2028😀\ufffd\""},
		{"a\xff\xc0b\xed\xa0\x80", "\"a\ufffd\ufffdb\ufffd\ufffd\ufffd\""},
	}
	for _, test := range tests {
		if got := rawjson.AppendString([]byte("x"), test.s); string(got) != "x"+test.want {
			t.Errorf("AppendString(%q) = %s, want %s", test.s, got[1:], test.want)
		}
	}
}

func TestAppendStringIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) })).Draw(t, "s"))
		var back string
		if err := json.Unmarshal(rawjson.AppendString(nil, s), &back); err != nil {
			t.Fatal(err)
		}
		if want := string([]rune(s)); back != want {
			t.Errorf("%q came back as %q, want %q", s, back, want)
		}
	})
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e-3,"x\u0000",true,null]}`, `[[],{}]`, `"\ud800"`, `-0`, `01`, `1e`, ` 1`, `"\x"`, "\"\x01\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := rawjson.Check(data)
		leadingSpace := len(data) > 0 && strings.IndexByte(" \t\r\n", data[0]) >= 0
		if valid := json.Valid(data) && !leadingSpace; (err == nil) != valid && !errors.Is(err, rawjson.ErrDepth) {
			t.Errorf("%q: %v, encoding/json says %v", data, err, valid)
		}
	})
}

// FuzzMembers: what is taken apart is what encoding/json finds.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{`{"to":"bob","data":"x"}`, `{"a":{"b":[1,{}]},"a":2}`, `{}`, `{"\ud83d\ude00":1 , "":""}`, `{"a\\\"":"\\","b":["\\\\\"x"]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := rawjson.Members(nil, data, 100)
		if err != nil || !utf8.Valid(data) {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("%q: encoding/json says %v", data, err)
		}
		if again, err := rawjson.MembersOf(nil, data, 100); err != nil || !reflect.DeepEqual(again, members) {
			t.Errorf("%q: %q, once checked %q, %v", data, members, again, err)
		}
		last := make(map[string]json.RawMessage)
		for _, m := range members {
			last[string(m.Name)] = m.Value
		}
		if len(last) != len(want) {
			t.Fatalf("%q: %d members, encoding/json has %d", data, len(last), len(want))
		}
		for name, value := range want {
			if !bytes.Equal(last[name], value) {
				t.Errorf("%q: member %q is %s, encoding/json has %s", data, name, last[name], value)
			}
		}
	})
}
