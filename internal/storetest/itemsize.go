package storetest

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// ItemSize returns the size of an item in bytes, by which DynamoDB charges for it: the
// rules of "DynamoDB item sizes and formats" in the DynamoDB Developer Guide.
func ItemSize(item map[string]types.AttributeValue) int {
	size := 0
	for name, v := range item {
		size += len(name)
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			size += len(v.Value)
		case *types.AttributeValueMemberN:
			size += (len(v.Value)+1)/2 + 1
		case *types.AttributeValueMemberB:
			size += len(v.Value)
		case *types.AttributeValueMemberBOOL:
			size++
		case *types.AttributeValueMemberM:
			size += 3 + len(v.Value) + ItemSize(v.Value)
		case *types.AttributeValueMemberL:
			size += 3
			for _, e := range v.Value {
				size += 1 + ItemSize(map[string]types.AttributeValue{"": e})
			}
		default:
			panic(fmt.Sprintf("size of %T", v))
		}
	}
	return size
}
