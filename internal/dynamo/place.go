package dynamo

import (
	"context"
	"fmt"
	"strconv"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

var _ signal.PlaceStore = (*Store)(nil)

func placeKey(place int) string { return "place#" + strconv.Itoa(place) }

// TakePlace implements [signal.PlaceStore].
func (s *Store) TakePlace(ctx context.Context, place int, by string, until, now lane.Instant) (bool, error) {
	e := newExpression()
	end := e.path(attrUntil)
	e.require("(attribute_not_exists("+end+") OR", end, "<=", e.value(num(now)), "OR", e.path(attrBy), "=", e.value(str(by))+")")
	e.set(end, e.value(num(until)))
	e.set(e.path(attrBy), e.value(str(by)))
	e.set(e.path(attrExpires), e.value(num(seconds(until))))
	return s.changePlace(ctx, place, e)
}

// LeavePlace implements [signal.PlaceStore].
func (s *Store) LeavePlace(ctx context.Context, place int, by string) error {
	e := newExpression()
	e.require(e.path(attrBy), "=", e.value(str(by)))
	e.set(e.path(attrUntil), e.value(num(0)))
	_, err := s.changePlace(ctx, place, e)
	return err
}

func (s *Store) changePlace(ctx context.Context, place int, e *expression) (made bool, err error) {
	_, err = s.client.UpdateItem(ctx, e.update(s.table, placeKey(place)))
	if _, ok := refused(err); ok {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("change place %d: %w", place, err)
	}
	return true, nil
}
