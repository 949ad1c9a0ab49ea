package template

import (
	"slices"
	"strconv"
	"strings"
)

// deployment is the values given to parameters; those not given have their
// defaults.
type deployment map[string]string

// pseudo is the pseudo parameters of a deployment in Ireland.
var pseudo = map[string]string{
	"AWS::AccountId": "123456789012", "AWS::Partition": "aws", "AWS::Region": "eu-west-1",
	"AWS::StackName": "owt-signal", "AWS::URLSuffix": "amazonaws.com",
	"AWS::StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/owt-signal/0b6b8f6e-0000-11f0-8000-000000000000",
}

// value is the value of a parameter, given or by default.
func (tpl template) value(parameter string, d deployment) (string, bool) {
	if v, ok := d[parameter]; ok {
		return v, true
	}
	if v, ok := pseudo[parameter]; ok {
		return v, true
	}
	v, ok := at(map[string]any(tpl), "Parameters", parameter, "Default").(string)
	return v, ok
}

// evaluate computes the condition functions of CloudFormation in v, those of its
// rules, and Fn::If ("Condition functions" and "Rule functions", CloudFormation
// User Guide), for a deployment. What refers to resources stays as it is, and
// AWS::NoValue goes.
func (tpl template) evaluate(v any, d deployment) any {
	switch v := v.(type) {
	case []any:
		all := make([]any, 0, len(v))
		for _, e := range v {
			if e = tpl.evaluate(e, d); e != nil {
				all = append(all, e)
			}
		}
		return all
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if computed, ok := tpl.call(name, argument, d); ok {
					return computed
				}
			}
		}
		all := make(map[string]any, len(v))
		for key, e := range v {
			if e = tpl.evaluate(e, d); e != nil {
				all[key] = e
			}
		}
		return all
	default:
		return v
	}
}

// call calls an intrinsic function, unless it is about resources.
func (tpl template) call(name string, argument any, d deployment) (result any, ok bool) {
	switch name {
	case "Ref":
		if argument == "AWS::NoValue" {
			return nil, true
		}
		value, known := tpl.value(argument.(string), d)
		return value, known
	case "Fn::Sub":
		known := true
		value := substituted.ReplaceAllStringFunc(argument.(string), func(reference string) string {
			v, ok := tpl.value(strings.Trim(reference, "${}"), d)
			known = known && ok
			return v
		})
		return value, known
	case "Condition":
		condition, known := argument.(string) // otherwise a policy's
		if !known {
			return nil, false
		}
		return tpl.holds(condition, d), true
	case "Fn::If":
		choice := argument.([]any)
		if tpl.holds(choice[0].(string), d) {
			return tpl.evaluate(choice[1], d), true
		}
		return tpl.evaluate(choice[2], d), true
	}
	computed, known := functions[name]
	arguments, listed := tpl.evaluate(argument, d).([]any)
	if !known || !listed {
		return nil, false
	}
	return computed(arguments), true
}

// holds reports whether a condition of the template is true.
func (tpl template) holds(condition string, d deployment) bool {
	holds, ok := tpl.evaluate(at(map[string]any(tpl), "Conditions", condition), d).(bool)
	if !ok {
		panic("the condition " + condition + " is neither true nor false")
	}
	return holds
}

// functions is what CloudFormation's functions compute.
var functions = map[string]func([]any) any{
	"Fn::Equals":   func(a []any) any { return text(a[0]) == text(a[1]) },
	"Fn::Not":      func(a []any) any { return !a[0].(bool) },
	"Fn::And":      func(a []any) any { return !slices.Contains(a, any(false)) },
	"Fn::Or":       func(a []any) any { return slices.Contains(a, any(true)) },
	"Fn::Contains": func(a []any) any { return slices.Contains(a[0].([]any), a[1]) },
	"Fn::Split": func(a []any) (parts any) {
		var all []any
		for part := range strings.SplitSeq(a[1].(string), a[0].(string)) {
			all = append(all, part)
		}
		return all
	},
	"Fn::Select": func(a []any) any {
		i, err := strconv.Atoi(a[0].(string))
		if err != nil {
			panic(err)
		}
		return a[1].([]any)[i]
	},
}
