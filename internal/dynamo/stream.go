package dynamo

import (
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// Owners is who owned a name before and after a write, by their connections; empty:
// nobody.
type Owners struct {
	User    signal.UserName
	Was, Is signal.ConnectionID
}

// ReadOwners reads a record of the table's stream, which has both images of an item. It
// reports false if the item is no user's.
func ReadOwners(r events.DynamoDBEventRecord) (Owners, bool) {
	pk, ok := r.Change.Keys[attrKey]
	if !ok || pk.DataType() != events.DataTypeString || !strings.HasPrefix(pk.String(), userPrefix) {
		return Owners{}, false
	}
	return Owners{signal.UserName(strings.TrimPrefix(pk.String(), userPrefix)), streamedOwner(r.Change.OldImage), streamedOwner(r.Change.NewImage)}, true
}

func streamedOwner(image map[string]events.DynamoDBAttributeValue) signal.ConnectionID {
	owner, ok := image[attrOwner]
	if !ok || owner.DataType() != events.DataTypeMap {
		return ""
	}
	id, ok := owner.Map()[attrID]
	if !ok || id.DataType() != events.DataTypeString {
		return ""
	}
	return signal.ConnectionID(id.String())
}
