package dynamo

import (
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// expression collects the parts of a conditional update. Every name and value
// goes in by a placeholder, because many names are DynamoDB's reserved words.
type expression struct {
	conditions, sets, removes, adds, takes []string
	names                                  map[string]string
	values                                 item
}

func newExpression() *expression {
	return &expression{names: make(map[string]string), values: make(item)}
}

// path returns the placeholder of an attribute, given by the names that lead to it.
func (e *expression) path(names ...string) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = "#" + placeholder(name)
		e.names[parts[i]] = name
	}
	return strings.Join(parts, ".")
}

// placeholder returns a name that may stand in an expression. Numbers are the keys
// of held frames.
func placeholder(name string) string {
	if _, err := strconv.Atoi(name); err == nil {
		return "n" + strings.ReplaceAll(name, "-", "m")
	}
	return name
}

// value returns the placeholder of a value.
func (e *expression) value(v types.AttributeValue) string {
	p := ":v" + strconv.Itoa(len(e.values))
	e.values[p] = v
	return p
}

// list returns the placeholders of strings, as they stand behind IN.
func list[S ~string](e *expression, all []S) string {
	values := make([]string, len(all))
	for i, s := range all {
		values[i] = e.value(str(s))
	}
	return strings.Join(values, ", ")
}

func (e *expression) require(parts ...string) {
	e.conditions = append(e.conditions, strings.Join(parts, " "))
}

// requireEqual asks that an attribute has a value, or, if absent, that there is
// none.
func (e *expression) requireEqual(name string, absent bool, v types.AttributeValue) {
	if absent {
		e.require("attribute_not_exists(" + e.path(name) + ")")
		return
	}
	e.require(e.path(name), "=", e.value(v))
}

func (e *expression) set(path, value string) { e.sets = append(e.sets, path+" = "+value) }

// setOrRemove sets an attribute if there is something to set.
func (e *expression) setOrRemove(path string, some bool, v types.AttributeValue) {
	if some {
		e.set(path, e.value(v))
		return
	}
	e.remove(path)
}

func (e *expression) remove(path string) { e.removes = append(e.removes, path) }

// add adds members to a set, or to a number; either may be absent.
func (e *expression) add(path string, v types.AttributeValue) {
	e.adds = append(e.adds, path+" "+e.value(v))
}

// take takes members out of a set. Without members left, the attribute is absent.
func (e *expression) take(path string, v types.AttributeValue) {
	e.takes = append(e.takes, path+" "+e.value(v))
}

// update returns the conditional update of an item. It returns the item as it is
// after it, or, in the error of a condition that does not hold, as it is.
func (e *expression) update(table, pk string) *dynamodb.UpdateItemInput {
	condition, update := strings.Join(e.conditions, " AND "), ""
	for _, clause := range []struct {
		word  string
		parts []string
	}{{"SET ", e.sets}, {" REMOVE ", e.removes}, {" ADD ", e.adds}, {" DELETE ", e.takes}} {
		if len(clause.parts) > 0 {
			update += clause.word + strings.Join(clause.parts, ", ")
		}
	}
	return &dynamodb.UpdateItemInput{
		TableName:                           &table,
		Key:                                 key(pk),
		ConditionExpression:                 &condition,
		UpdateExpression:                    &update,
		ExpressionAttributeNames:            e.names,
		ExpressionAttributeValues:           e.values,
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
}
