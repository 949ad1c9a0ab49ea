package local

import (
	"context"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/httpapi"
)

// serveBackends serves the API for backends at an address of its own: by the handlers in
// this process to who has a key; or, as the URL of a function, to who signs with the
// credentials that this process and the functions have.
func (a *api) serveBackends(ctx context.Context, o options) (*service, error) {
	if o.api == "" {
		return nil, nil
	}
	if h, ok := a.backend.(*handlers); ok {
		keys, err := httpapi.ReadKeys(o.apiKeys)
		if err != nil {
			return nil, err
		}
		api := &httpapi.API{Service: h.handler.Service, Log: a.log}
		return serveAll(o.api, api.Handler(keys), a.log)
	}
	aws := awsenv.ConfigOr("us-east-1", "local")
	credentials, err := aws.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	signer := &gateway.Signer{
		Credentials: credentials, Region: aws.Region, Service: "lambda", AccountID: "000000000000", UserARN: "arn:aws:iam::000000000000:user/local",
	}
	return serveAll(o.api, &gateway.HTTPAPI{Function: a.backend.httpFunction(backendAPI), Signer: signer, MaxBody: httpapi.MaxBody, Log: a.log}, a.log)
}
