package memory

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// As many users are refused as may be; one more only once another's time has passed.
func TestRefusalsAreBounded(t *testing.T) {
	const now = lane.Instant(1_800_000_000_000)
	s := New()
	for i := range MaxRefusals {
		if err := s.Refuse(t.Context(), signal.UserName(fmt.Sprint(i)), now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Refuse(t.Context(), "more", now.Add(time.Hour)); !errors.Is(err, signal.ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	if err := s.Refuse(t.Context(), "0", now.Add(time.Hour)); err != nil {
		t.Errorf("one of them: %v", err)
	}
	if _, err := s.Get(t.Context(), "", now.Add(time.Minute)); !errors.Is(err, signal.ErrNoConnection) { // time passes
		t.Fatal(err)
	}
	if err := s.Refuse(t.Context(), "more", now.Add(time.Hour)); err != nil || len(s.backends.refused) != 2 {
		t.Errorf("later: %v, %d are refused", err, len(s.backends.refused))
	}
}

// Of more keys than may be known the oldest are not, nor those whose time has passed.
func TestKeysAreBounded(t *testing.T) {
	const now = lane.Instant(1_800_000_000_000)
	s := New()
	begin := func(key, by string, at lane.Instant) string {
		t.Helper()
		k, err := s.BeginKey(t.Context(), "backend:a", key, signal.Keyed{By: by, At: at})
		if err != nil {
			t.Fatal(err)
		}
		return k.By
	}
	for i := range MaxKeys {
		begin(fmt.Sprint(i), "first", now)
	}
	if begin("0", "again", now) != "first" {
		t.Error("the oldest is not known")
	}
	begin("more", "first", now)
	if begin("1", "again", now) != "first" || begin("0", "again", now) != "again" || len(s.backends.keys) != MaxKeys {
		t.Errorf("one more: of %d the oldest is not the one that had to go", len(s.backends.keys))
	}
	begin("late", "first", now.Add(signal.KeyLife))
	if len(s.backends.keys) != 1 || s.backends.inKeys.Len() != 1 {
		t.Errorf("later %d are known", len(s.backends.keys))
	}
}
