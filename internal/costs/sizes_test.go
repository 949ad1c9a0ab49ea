package costs

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/owt-signal/owt-signal/internal/sim"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

const requestID = `,"requestId":"8e1e7a1c-4f5b-4c1e-9d0e-0b1e7a1c4f5b"` // which Lambda's log lines have besides

// TestSizes holds the sizes of the model against those of a client of OWT's
// SDK.
func TestSizes(t *testing.T) {
	s := newService(t)
	const alice, bob = "L0SM9cOFvHcCIhw=", "M1TN0dPGwIdDJix="
	e := entrances["5"]
	s.connect(bob, "token=bob")
	s.did()
	e.enter(s, alice)
	near(t, "log line", logLine, float64(s.log.Len())/float64(strings.Count(s.log.String(), "\n"))+float64(len(requestID)))
	s.did()
	data := strings.Repeat("x", int(Default.Bytes)-len(`""`))
	s.frame(alice, fmt.Sprintf(e.send, 1, data))
	near(t, "metric line", metricLine, float64(s.told.Len()))
	near(t, "envelope", envelope, float64(len(s.frames[0]))-Default.Bytes)
	s.did()
	near(t, "record of a connection", sim.ConnectionItem, s.size("conn#"+alice))
	near(t, "record of a user", sim.UserItem, s.size("user#alice"))
}

// TestHeldFrames: what is held has its data in items of their own, as the model has
// it.
func TestHeldFrames(t *testing.T) {
	s := newService(t)
	const alice = "L0SM9cOFvHcCIhw="
	e := entrances["5"]
	e.enter(s, alice)
	s.did()
	data := strings.Repeat("x", int(Default.Bytes)-len(`""`))
	before := s.size("conn#" + alice)
	var model float64
	for held := 1; held <= Default.Burst; held++ { // number 1 does not come
		s.hold(alice, fmt.Sprintf(e.send, held+1, data))
		model += math.Ceil((sim.ConnectionItem+float64(held)*sim.HeldFrame)/(1<<10)) + math.Ceil((Default.Bytes+sim.BodyItem)/(1<<10))
	}
	near(t, "held frame", sim.HeldFrame, (s.size("conn#"+alice)-before)/float64(Default.Burst))
	near(t, "body", sim.BodyItem, s.bodies()/float64(Default.Burst)-Default.Bytes)
	// The engine does not tell of the writes before, which find that the frame must be held.
	if steps, _ := s.did(); math.Abs(float64(steps.Writes)-model) > 0.1*model {
		t.Errorf("%d frames that are held take %d write units, %v in the model", Default.Burst, steps.Writes, model)
	}
}

// bodies is the size of all bodies in bytes.
func (s *service) bodies() (size float64) {
	s.t.Helper()
	for pages := dynamodb.NewScanPaginator(s.table, &dynamodb.ScanInput{TableName: aws.String(tableName)}); pages.HasMorePages(); {
		page, err := pages.NextPage(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, it := range page.Items {
			if it["data"] != nil {
				size += float64(storetest.ItemSize(it))
			}
		}
	}
	return size
}

// size is the size of a record in bytes.
func (s *service) size(pk string) float64 {
	s.t.Helper()
	out, err := s.table.GetItem(s.t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String(tableName), Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: pk}},
	})
	if err != nil || len(out.Item) == 0 {
		s.t.Fatalf("get item %s: %v", pk, err)
	}
	return float64(storetest.ItemSize(out.Item))
}
