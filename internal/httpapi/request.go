package httpapi

import (
	"bytes"
	"fmt"
	"math"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/owt-signal/owt-signal/internal/rawjson"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// maxMembers is how many members the body of a request may have.
const maxMembers = 8

// parameters reads the query, which may have these parameters, each once, and no
// others.
func (c *call) parameters(known ...string) (url.Values, error) {
	query, err := url.ParseQuery(c.Query)
	if err != nil {
		return nil, errRequest.saying("The query cannot be read.")
	}
	for name, values := range query {
		if !slices.Contains(known, name) || len(values) > 1 {
			return nil, errRequest.saying("The query has a parameter that there is not, or one more than once.")
		}
	}
	return query, nil
}

// userOf reads whom the query is about, its only parameter.
func (c *call) userOf() (signal.UserName, error) {
	query, err := c.parameters("user")
	if err != nil {
		return "", err
	}
	return c.user(query.Get("user"))
}

// user reads the name of a user, and notes it for the log.
func (c *call) user(name string) (signal.UserName, error) {
	user := signal.UserName(name)
	if err := signal.CheckUserName(user); err != nil {
		return "", errRequest.saying(err.Error())
	}
	c.note("user", user)
	return user, nil
}

// members reads the body: an object of JSON that may have these members, each once, and
// no others.
func (c *call) members(known ...string) (map[string][]byte, error) {
	if kind, _, err := mime.ParseMediaType(c.ContentType); err != nil || kind != "application/json" {
		return nil, errType
	}
	body := bytes.TrimLeft(c.Body, " \t\n\r") // white space of JSON (RFC 8259, section 2)
	if !utf8.Valid(body) {
		return nil, errRequest.saying("The body is not UTF-8.")
	}
	list, err := rawjson.Members(nil, body, maxMembers)
	if err != nil {
		return nil, errRequest.saying("The body is no such object: " + err.Error() + ".")
	}
	members := make(map[string][]byte, len(list))
	for _, m := range list {
		name := string(m.Name)
		if _, twice := members[name]; twice || !slices.Contains(known, name) {
			return nil, errRequest.saying("The body has a member that there is not, or one more than once.")
		}
		members[name] = m.Value
	}
	return members, nil
}

// textOf reads a text of the body; of one that is not there, or is no text, nothing.
func textOf(value []byte) string {
	text, _ := rawjson.Text(value)
	return text
}

// wholeNumber reads a number without a fraction, as JSON has it.
func wholeNumber(name, value string, least, most int) (int, error) {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || n != math.Trunc(n) || n < float64(least) || n > float64(most) {
		return 0, errRequest.saying(fmt.Sprintf("%s is no whole number from %d to %d.", name, least, most))
	}
	return int(n), nil
}
