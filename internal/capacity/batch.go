package capacity

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
)

// part is one item of a batch: the request that it is by itself, and what stands
// for it where the batch was not processed.
type part struct {
	table     string
	operation string
	in        document
	left      json.RawMessage
}

// batchGet reads the items of a BatchGetItem.
func (c call) batchGet(in document) (answer, error) {
	var tables map[string]document
	if err := json.Unmarshal(in["RequestItems"], &tables); err != nil {
		return answer{}, fmt.Errorf("read batch: %w", err)
	}
	var parts []part
	for table, of := range tables {
		var keys []json.RawMessage
		if err := json.Unmarshal(of["Keys"], &keys); err != nil {
			return answer{}, fmt.Errorf("read keys of a batch: %w", err)
		}
		for _, key := range keys {
			get := maps.Clone(of)
			delete(get, "Keys")
			get["Key"] = key
			parts = append(parts, part{table, "GetItem", get, key})
		}
	}
	got, left, failure, err := c.all(parts)
	if failure != nil {
		return *failure, err
	}
	for table, keys := range left {
		tables[table].with("Keys", keys)
	}
	maps.DeleteFunc(tables, func(table string, _ document) bool { return left[table] == nil })
	return found(document{}.with("Responses", got).with("UnprocessedKeys", tables))
}

// batchWrite writes the items of a BatchWriteItem.
func (c call) batchWrite(in document) (answer, error) {
	var tables map[string][]json.RawMessage
	if err := json.Unmarshal(in["RequestItems"], &tables); err != nil {
		return answer{}, fmt.Errorf("read batch: %w", err)
	}
	var parts []part
	for table, writes := range tables {
		for _, left := range writes {
			var write struct{ PutRequest, DeleteRequest document }
			if err := json.Unmarshal(left, &write); err != nil {
				return answer{}, fmt.Errorf("read write of a batch: %w", err)
			}
			p := part{table, "PutItem", write.PutRequest, left}
			if write.DeleteRequest != nil {
				p.operation, p.in = "DeleteItem", write.DeleteRequest
			}
			parts = append(parts, p)
		}
	}
	_, left, failure, err := c.all(parts)
	if failure != nil {
		return *failure, err
	}
	return found(document{}.with("UnprocessedItems", left))
}

// all makes the requests of a batch at the same time. It returns the items that
// were read, and what was not processed, by their tables; or the answer to the
// batch if that is an error.
func (c call) all(parts []part) (got, left map[string][]json.RawMessage, failure *answer, err error) {
	answers, errs := make([]answer, len(parts)), make([]error, len(parts))
	var done sync.WaitGroup
	for i, p := range parts {
		done.Go(func() { answers[i], errs[i] = c.one(p.operation, p.in.with("TableName", p.table)) })
	}
	done.Wait()
	got, left = make(map[string][]json.RawMessage), make(map[string][]json.RawMessage)
	refused := 0
	for i, p := range parts {
		switch a := answers[i]; {
		case errs[i] != nil:
			return nil, nil, &answer{}, errs[i]
		case a.throttled:
			refused++
			left[p.table] = append(left[p.table], p.left)
		case a.status != http.StatusOK:
			return nil, nil, &a, nil
		default:
			if it := a.item(); it != nil {
				got[p.table] = append(got[p.table], it)
			}
		}
	}
	if refused > 0 && refused == len(parts) {
		return nil, nil, &answers[0], nil
	}
	return got, left, nil, nil
}
