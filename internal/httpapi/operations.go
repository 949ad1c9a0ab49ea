package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

func (a *API) presence(ctx context.Context, c *call) (any, error) {
	user, err := c.userOf()
	if err != nil {
		return nil, err
	}
	online, err := a.Service.IsOnline(ctx, user)
	return struct {
		User   signal.UserName `json:"user"`
		Online bool            `json:"online"`
	}{user, online}, err
}

// defaultOnline is how many users are listed at a time, if nothing else is asked for.
const defaultOnline = 100

// users lists who is online. To callers a cursor is opaque; a store's may have any bytes.
func (a *API) users(ctx context.Context, c *call) (any, error) {
	query, err := c.parameters("limit", "cursor")
	if err != nil {
		return nil, err
	}
	limit := defaultOnline
	if asked := query.Get("limit"); query.Has("limit") {
		if strings.Trim(asked, "0123456789") != "" {
			asked = ""
		}
		if limit, err = wholeNumber("limit", asked, 1, signal.MaxOnline); err != nil {
			return nil, err
		}
	}
	cursor, err := base64.RawURLEncoding.DecodeString(query.Get("cursor"))
	if err != nil || query.Has("cursor") && len(cursor) == 0 || len(cursor) > maxCursor {
		return nil, errRequest.saying("The cursor is none that was given.")
	}
	page := struct {
		Users []signal.UserName `json:"users"`
		Next  string            `json:"next,omitempty"`
	}{Users: []signal.UserName{}}
	found, next, err := a.Service.Online(ctx, strings.ToValidUTF8(string(cursor), "?"), limit)
	page.Users, page.Next = append(page.Users, found...), base64.RawURLEncoding.EncodeToString([]byte(next))
	c.note("users", len(found))
	return page, err
}

// maxCursor is the longest cursor, in bytes: the longest key that DynamoDB has.
const maxCursor = 2048

func (a *API) send(ctx context.Context, c *call) (any, error) {
	if _, err := c.parameters(); err != nil {
		return nil, err
	}
	members, err := c.members("to", "data", "from")
	if err != nil {
		return nil, err
	}
	to, err := c.user(textOf(members["to"]))
	if err != nil {
		return nil, err
	}
	from := c.caller.Name
	if asked, given := members["from"]; given {
		if from, err = c.caller.sender(textOf(asked)); err != nil {
			return nil, err
		}
	}
	c.note("from", from)
	switch data := members["data"]; {
	case data == nil:
		return nil, errRequest.saying("There is no data.")
	case len(c.Key) > signal.MaxKey || strings.ContainsFunc(c.Key, func(r rune) bool { return r < '!' || r > '~' }):
		return nil, errRequest.saying("The key is longer than 128 characters, or not of visible ASCII ones.")
	}
	code, err := a.Service.Dispatch(ctx, from, c.Key, lane.Frame{To: string(to), Data: members["data"]})
	if err == nil && code != lane.OK {
		err = withCode(code)
	}
	c.note("code", int(code))
	return struct {
		From signal.UserName `json:"from"`
		To   signal.UserName `json:"to"`
	}{from, to}, err
}

// withCode returns the problem of a message that has ended with a code.
func withCode(code lane.Code) error {
	if p, ok := problemOfCode[code]; ok {
		return p
	}
	return errServer
}

// sender returns the name that the caller asks to send under, if it may.
func (c Caller) sender(name string) (signal.UserName, error) {
	from := signal.UserName(name)
	if err := signal.CheckBackend(from); err != nil {
		return "", errRequest.saying(err.Error())
	}
	if from != c.Name && !strings.HasPrefix(name, string(c.Name)+"/") {
		return "", errPrincipal.saying("It sends as " + string(c.Name) + ", or as what follows that and a slash.")
	}
	return from, nil
}

func (a *API) disconnect(ctx context.Context, c *call) (any, error) {
	if _, err := c.parameters(); err != nil {
		return nil, err
	}
	members, err := c.members("user", "refuseFor")
	if err != nil {
		return nil, err
	}
	user, err := c.user(textOf(members["user"]))
	if err != nil {
		return nil, err
	}
	refuse := 0
	if asked, given := members["refuseFor"]; given {
		if refuse, err = wholeNumber("refuseFor", string(asked), 0, int(signal.MaxRefusal.Seconds())); err != nil {
			return nil, err
		}
	}
	c.note("refuseFor", refuse)
	online, until, err := a.Service.Expel(ctx, user, time.Duration(refuse)*time.Second)
	answer := struct {
		User         signal.UserName `json:"user"`
		Disconnected bool            `json:"disconnected"`
		RefusedUntil *time.Time      `json:"refusedUntil,omitempty"`
	}{User: user, Disconnected: online}
	if until != 0 {
		answer.RefusedUntil = new(until.Time().UTC())
	}
	c.note("disconnected", online)
	return answer, err
}

func (a *API) readmit(ctx context.Context, c *call) (any, error) {
	user, err := c.userOf()
	if err != nil {
		return nil, err
	}
	return nil, a.Service.Readmit(ctx, user)
}

func (a *API) iceServers(_ context.Context, c *call) (any, error) {
	user, err := c.userOf()
	if err != nil {
		return nil, err
	}
	ice := a.Service.ICEFor(user)
	if ice.Servers == nil {
		ice.Servers = []byte("[]")
	}
	return struct {
		Servers json.RawMessage `json:"iceServers"`
		Expires int             `json:"iceExpires,omitempty"` // s
	}{ice.Servers, int(ice.Expires.Seconds())}, nil
}
