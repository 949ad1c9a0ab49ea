package signal

import (
	"context"
	"errors"
)

// leftToOthers reports whether another invocation has barred the connection, to
// tell its client why and to close it, unless it must have died since.
func (s *Service) leftToOthers(c Connection) bool {
	return c.Bar.Code != OK && s.Clock.Now().Sub(c.Bar.At) <= Patience
}

// expire ends a connection that may take on nothing new, unless another
// invocation does.
func (s *Service) expire(ctx context.Context, c Connection, last func(Code) Event) Reply {
	if s.leftToOthers(c) {
		return Reply{}
	}
	code := CodeWrongToken
	switch {
	case c.Bar.Code != OK:
		code = c.Bar.Code
	case c.User == "":
		code = CodeUnknownUser // it has not authenticated in time
	}
	s.Log.InfoContext(ctx, "connection is barred", "connection", c.ID, "user", c.User, "code", int(code))
	return s.bar(ctx, c, last(code), code, code)
}

// closing is the last event where nothing is to be answered.
func closing(c Code) Event { return Closing{c} }

// answering is the last event where an authentication of that number is to be
// answered.
func answering(number int64) func(Code) Event {
	if number == NoNumber {
		return closing
	}
	return func(c Code) Event { return Refused{number, c} }
}

// bar ends a connection: first it may do nothing by any clock, then its name is
// free. What it holds is answered with the code held, and the last event tells
// its client.
//
// The record stays until the socket has gone: whoever comes on it meanwhile is
// to be told why, and not that another connection has taken the name.
func (s *Service) bar(ctx context.Context, c Connection, last Event, code, held Code) Reply {
	w := s.work(c)
	frames, err := w.bar(ctx, code)
	if err == nil && w.conn.Bar.By != w.me && s.leftToOthers(w.conn) {
		return Reply{}
	}
	user := c.User
	if user == "" {
		user = w.conn.User
	}
	if errors.Is(err, ErrNoConnection) {
		err = nil // it is nobody already
	}
	if err == nil && user != "" {
		_, err = s.Store.Release(ctx, user, c.ID, w.conn.Lane.FullAt)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "ending a connection failed", "connection", c.ID, "error", err)
	}
	for _, f := range frames {
		s.post(ctx, w.conn.Peer, w.ack(f, held))
	}
	s.told(last)
	if err := s.Pusher.Post(ctx, w.conn.Peer, last); errors.Is(err, ErrGone) {
		s.vanish(ctx, user, c.ID)
		return Reply{}
	}
	s.close(ctx, w.conn.Peer)
	return Reply{}
}

// bar makes the connection take on nothing new, whatever clock it is judged by,
// and returns what it held. Of several invocations that try, one is given that
// to answer for.
func (w *work) bar(ctx context.Context, why Code) ([]Numbered, error) {
	var held []Numbered
	for range arriveTries {
		if w.conn.Bar.Code != OK {
			if w.conn.Bar.By != w.me {
				held = nil
			}
			return held, nil
		}
		m := w.conn.Lane.bar(Bar{why, w.me, w.Clock.Now()})
		held = m.Change.Unhold
		if _, err := w.move(ctx, m); err != nil {
			if errors.Is(err, ErrNoConnection) {
				held = nil // it may have been taken before the connection ended
			}
			return held, err
		}
	}
	return nil, ErrBusy
}

// tooLate answers a frame that came, with step to be done about it, when the
// connection was barred. One that had been taken before is answered as it is
// always.
func (w *work) tooLate(ctx context.Context, in Send, step Step) Reply {
	code := CodeWrongToken
	if w.conn.User == "" {
		code = CodeUnknownUser
	}
	switch {
	case step.Settled:
		code = step.Code
	case step.Move == nil:
		return w.expire(ctx, w.conn, closing) // in somebody's hands, who answers
	case in.Number <= w.conn.Lane.Turn:
		code = CodeServer // in those of somebody who has died
	}
	w.post(ctx, w.conn.Peer, w.ack(Numbered{in.Number, in.Frame}, code))
	return w.expire(ctx, w.conn, closing)
}
