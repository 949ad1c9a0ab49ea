package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Signer is the one principal that may call where requests are to be signed, in the place of IAM.
type Signer struct {
	Credentials        aws.Credentials
	Region, Service    string
	AccountID, UserARN string // as the function is told
}

// maxSkew is how far the time in a signature may be from that of its check ("Why requests are signed", IAM User Guide).
const maxSkew = 5 * time.Minute

// The format of a signature ("Elements of an AWS API request signature", IAM User Guide).
const (
	algorithm  = "AWS4-HMAC-SHA256"
	dateHeader = "X-Amz-Date"
	dateLayout = "20060102T150405Z"
)

// unsigned is the answer to a request that is not signed, or wrongly.
var unsigned = &httpError{status: http.StatusForbidden, kind: "AccessDeniedException", message: messageForbidden}

// signed is the parts of the header Authorization.
type signed struct {
	credential, signature string
	headers               []string
}

func readAuthorization(header string) (s signed, ok bool) {
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	for part := range strings.SplitSeq(rest, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "Credential":
			s.credential = value
		case "SignedHeaders":
			s.headers = strings.Split(value, ";")
		case "Signature":
			s.signature = value
		}
	}
	return s, ok
}

// verify reports whether a request has the signer's signature in its headers: it is signed once more. Signatures in the
// query are not taken.
func (s *Signer) verify(r *http.Request, body []byte, now time.Time) bool {
	given, ok := readAuthorization(r.Header.Get("Authorization"))
	at, err := time.Parse(dateLayout, r.Header.Get(dateHeader))
	scope := strings.Join([]string{s.Credentials.AccessKeyID, at.Format("20060102"), s.Region, s.Service, "aws4_request"}, "/")
	if !ok || err != nil || at.Sub(now).Abs() > maxSkew || given.credential != scope {
		return false
	}
	url := *r.URL // the signer writes it
	again := &http.Request{Method: r.Method, URL: &url, Host: r.Host, Header: make(http.Header)}
	for _, name := range given.headers {
		switch name = http.CanonicalHeaderKey(name); name {
		case "Content-Length": // the SDK's signer takes it from the request itself
			again.ContentLength = int64(len(body))
		default:
			again.Header[name] = slices.Clone(r.Header[name])
		}
	}
	hash := sha256.Sum256(body)
	if v4.NewSigner().SignHTTP(context.WithoutCancel(r.Context()), s.Credentials, again, hex.EncodeToString(hash[:]), s.Service, s.Region, at) != nil {
		return false
	}
	want, _ := readAuthorization(again.Header.Get("Authorization"))
	return subtle.ConstantTimeCompare([]byte(want.signature), []byte(given.signature)) == 1
}

// principal is what a function is told of the signer.
func (s *Signer) principal() *events.APIGatewayV2HTTPRequestContextAuthorizerDescription {
	return &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{IAM: &events.APIGatewayV2HTTPRequestContextAuthorizerIAMDescription{
		AccessKey: s.Credentials.AccessKeyID, AccountID: s.AccountID, CallerID: s.Credentials.AccessKeyID, UserARN: s.UserARN, UserID: s.Credentials.AccessKeyID,
	}}
}
