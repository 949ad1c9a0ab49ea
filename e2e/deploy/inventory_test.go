package deploy

import (
	"encoding/json"
	"os/exec"
	"slices"
	"testing"

	"github.com/owt-signal/owt-signal/internal/need"
)

// lister lists what there is of each kind that the stack has or may leave, as
// "kind name".
const lister = `
import botocore.session, json, sys
session = botocore.session.get_session()
found = []
def every(service, operation, key, name, **asked):
    client = session.create_client(service)
    if client.can_paginate(operation):
        items = client.get_paginator(operation).paginate(**asked).build_full_result().get(key, [])
    else:
        items = getattr(client, operation)(**asked).get(key) or []
    for item in items:
        found.append(operation + " " + (item if name is None else item[name]))
    return items
every("cloudformation", "describe_stacks", "Stacks", "StackName")
every("dynamodb", "list_tables", "TableNames", None)
for f in every("lambda", "list_functions", "Functions", "FunctionName"):
    every("lambda", "list_versions_by_function", "Versions", "FunctionArn", FunctionName=f["FunctionName"])
    every("lambda", "list_aliases", "Aliases", "AliasArn", FunctionName=f["FunctionName"])
every("lambda", "list_event_source_mappings", "EventSourceMappings", "UUID")
for a in every("apigatewayv2", "get_apis", "Items", "Name"):
    for kind in "routes", "integrations", "stages":
        every("apigatewayv2", "get_" + kind, "Items", {"routes": "RouteKey", "integrations": "IntegrationId", "stages": "StageName"}[kind], ApiId=a["ApiId"])
for d in every("apigatewayv2", "get_domain_names", "Items", "DomainName"):
    every("apigatewayv2", "get_api_mappings", "Items", "ApiMappingKey", DomainName=d["DomainName"])
for r in every("iam", "list_roles", "Roles", "RoleName"):
    every("iam", "list_role_policies", "PolicyNames", None, RoleName=r["RoleName"])
every("iam", "list_policies", "Policies", "PolicyName", Scope="Local")
every("logs", "describe_log_groups", "logGroups", "logGroupName")
every("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName")
every("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName")
every("budgets", "describe_budgets", "Budgets", "BudgetName", AccountId="000000000000")
every("scheduler", "list_schedules", "Schedules", "Name")
every("events", "list_rules", "Rules", "Name")
every("sns", "list_topics", "Topics", "TopicArn")
every("sqs", "list_queues", "QueueUrls", None)
every("kms", "list_keys", "Keys", "KeyId")
every("secretsmanager", "list_secrets", "SecretList", "Name")
every("ssm", "describe_parameters", "Parameters", "Name")
for kind, key in ("distributions", "DistributionList"), ("functions", "FunctionList"):
    for item in session.create_client("cloudfront").__getattribute__("list_" + kind)()[key].get("Items", []):
        found.append("list_" + kind + " " + item.get("Id", item.get("Name")))
every("acm", "list_certificates", "CertificateSummaryList", "DomainName")
for z in every("route53", "list_hosted_zones", "HostedZones", "Name"):
    every("route53", "list_resource_record_sets", "ResourceRecordSets", "Name", HostedZoneId=z["Id"])
for b in every("s3", "list_buckets", "Buckets", "Name"):
    every("s3", "list_objects_v2", "Contents", "Key", Bucket=b["Name"])
json.dump(sorted(found), sys.stdout)
`

// inventory is all that there is in the account, as "operation name".
func (e *emulator) inventory(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), need.File(t, ".venv/bin/python", installs), "-c", lister)
	logs := &lockedBuffer{}
	cmd.Env, cmd.Stderr = e.environment(), logs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list what there is: %v\n%s", err, logs)
	}
	var found []string
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// without is what is in one inventory and not in the other.
func without(found, others []string) []string {
	return slices.DeleteFunc(slices.Clone(found), func(what string) bool { return slices.Contains(others, what) })
}
