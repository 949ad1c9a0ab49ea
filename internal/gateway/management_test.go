package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
	"github.com/aws/smithy-go"

	"github.com/owt-signal/owt-signal/internal/gateway"
)

// manage serves the @connections API of g, and gives the SDK's client for a stage of it.
func manage(t *testing.T, g *gateway.Gateway, stage string) *apigatewaymanagementapi.Client {
	server := httptest.NewServer(g.Management())
	t.Cleanup(server.Close)
	return apigatewaymanagementapi.New(apigatewaymanagementapi.Options{
		BaseEndpoint: aws.String(server.URL + "/" + stage),
		Region:       "us-east-1",
		HTTPClient:   server.Client(),
		Retryer:      aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret"}, nil
		}),
	})
}

func TestManagementWithTheSDK(t *testing.T) {
	s, c, id := connected(t)
	sdk := manage(t, s.Gateway, "default")

	largest := bytesOf(gateway.MaxMessage)
	for _, text := range []string{"hä", largest} {
		if _, err := sdk.PostToConnection(t.Context(), &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &id, Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
		c.want(t, text)
	}

	got, err := sdk.GetConnection(t.Context(), &apigatewaymanagementapi.GetConnectionInput{ConnectionId: &id})
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if *got.Identity.SourceIp != "127.0.0.1" || *got.Identity.UserAgent != "agent/1" ||
		!got.ConnectedAt.Equal(want.ConnectedAt.Truncate(time.Millisecond)) ||
		!got.LastActiveAt.Equal(want.LastActiveAt.Truncate(time.Millisecond)) {
		t.Errorf("got %v %v %+v, want %+v", got.ConnectedAt, got.LastActiveAt, got.Identity, want)
	}

	if _, err := sdk.DeleteConnection(t.Context(), &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: &id}); err != nil {
		t.Fatal(err)
	}
	c.wantClose(t, 1000, "Connection Closed Normally")
}

func TestManagementErrorsWithTheSDK(t *testing.T) {
	s, _, id := connected(t)
	sdk, otherStage := manage(t, s.Gateway, "default"), manage(t, s.Gateway, "other")
	post := func(sdk *apigatewaymanagementapi.Client, id string, data string) error {
		_, err := sdk.PostToConnection(t.Context(), &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &id, Data: []byte(data)})
		return err
	}
	unknown := "L0SM9cOFvHcCIhw="

	if err := post(otherStage, id, "x"); !is[*types.ForbiddenException](err) {
		t.Errorf("other stage: %v", err)
	}
	if err := post(sdk, id, bytesOf(gateway.MaxMessage+1)); !is[*types.PayloadTooLargeException](err) {
		t.Errorf("too large: %v", err)
	}
	_, get := sdk.GetConnection(t.Context(), &apigatewaymanagementapi.GetConnectionInput{ConnectionId: &unknown})
	_, del := sdk.DeleteConnection(t.Context(), &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: &unknown})
	for _, err := range []error{post(sdk, unknown, "x"), get, del} {
		if !is[*types.GoneException](err) {
			t.Errorf("unknown connection: %v", err)
		}
	}
	for _, bad := range []string{"abc", "a/b", "ä", "?", "L0SM9cOFvHcCIhw=x"} {
		api, is := errors.AsType[smithy.APIError](post(sdk, bad, "x"))
		if !is || api.ErrorCode() != "BadRequestException" || api.ErrorMessage() != "Invalid connectionId: "+bad {
			t.Errorf("connection id %q: %v", bad, api)
		}
	}
}

func TestManagementLimitExceededWithTheSDK(t *testing.T) {
	connect := newRecorder()
	s := serve(t, gateway.Config{Routes: gateway.Routes{Connect: connect}})
	sdk := manage(t, s.Gateway, "default")
	c := s.rawDial(t) // and never read
	id := connect.next(t).RequestContext.ConnectionID
	large := []byte(bytesOf(gateway.MaxMessage))
	eventually(t, "the client's buffers are full", func() bool {
		_, err := sdk.PostToConnection(t.Context(), &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &id, Data: large})
		if err != nil && !is[*types.LimitExceededException](err) && !is[*types.GoneException](err) {
			t.Fatal(err)
		}
		return is[*types.LimitExceededException](err)
	})
	c.Close()
}

func is[E error](err error) bool {
	_, is := errors.AsType[E](err)
	return is
}

func TestManagementOverHTTP(t *testing.T) {
	s, c, id := connected(t)
	server := httptest.NewServer(s.Management())
	defer server.Close()
	escaped := strings.ReplaceAll(id, "=", "%3D")
	forbidden := `{"message":"Forbidden"}`
	for _, test := range []struct {
		method, path string
		status       int
		kind, body   string
	}{
		{"POST", "/default/@connections/" + escaped, 200, "", ""},
		{"POST", "/default/%40connections/" + escaped, 200, "", ""},
		{"POST", "/default/@connections/" + id, 200, "", ""},
		{"PUT", "/default/@connections/" + escaped, 403, "ForbiddenException", forbidden},
		{"POST", "/other/@connections/" + escaped, 403, "ForbiddenException", forbidden},
		{"POST", "/@connections/" + escaped, 403, "ForbiddenException", forbidden},
		{"GET", "/default", 403, "ForbiddenException", forbidden},
		{"GET", "/", 403, "ForbiddenException", forbidden},
		{"GET", "/default/@connections/", 400, "BadRequestException", `{"message":"Invalid connectionId: "}`},
		{"GET", "/default/@connections/x", 400, "BadRequestException", `{"message":"Invalid connectionId: x"}`},
		{"POST", "/default/@connections/L0SM9cOFvHcCIhw%3D", 410, "GoneException", `{"message":"Gone"}`},
		{"DELETE", "/default/@connections/" + escaped, 204, "", ""},
		{"DELETE", "/default/@connections/" + escaped, 410, "GoneException", `{"message":"Gone"}`},
	} {
		request, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+test.path, strings.NewReader("hi"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != test.status || res.Header.Get("x-amzn-ErrorType") != test.kind || string(body) != test.body || err != nil {
			t.Errorf("%s %s: %d %q %s, want %+v", test.method, test.path, res.StatusCode, res.Header.Get("x-amzn-ErrorType"), body, test)
		}
		if !idPattern.MatchString(res.Header.Get("x-amzn-RequestId")) {
			t.Errorf("%s %s: request id %q", test.method, test.path, res.Header.Get("x-amzn-RequestId"))
		}
	}
	for range 3 {
		c.want(t, "hi")
	}
	c.wantClose(t, 1000, "Connection Closed Normally")
}
