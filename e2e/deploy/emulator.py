"""Runs MiniStack on the listening socket that is file descriptor 3, until standard
input ends.

What MiniStack lacks and owt-signal needs of AWS is added here, from outside: one
function each, whose comment says what is missing and where AWS documents it. The
functions patch MiniStack 1.5.33 by name, so another version fails loudly.
"""

import asyncio
import contextvars
import json
import os
import queue
import signal
import sys
import threading
import time

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app
from ministack.core import iam_actions, iam_evaluator, lambda_runtime
from ministack.core.responses import new_uuid
from ministack.services import apigateway, budgets, lambda_svc
from ministack.services.cloudformation import engine, provisioners

LISTENER = "fd://3"
# How often a wait for an environment looks whether its process still lives, in s.
GLANCE = 0.05


def main():
    threading.Thread(target=end_with_the_test, daemon=True).start()
    for add in (
        add_split_in_conditions, add_gradual_deployments, add_route_responses, add_metric_math, add_budgets,
        add_parameters_by_arn, add_sources_of_events, add_extensions, add_concurrent_frames, add_handshake_answers, add_custom_domains,
    ):
        add()
    config = Config()
    config.bind = [LISTENER]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    asyncio.run(serve(app.app, config))


def end_with_the_test():
    """Ends the process group, functions and all, when the test is gone that holds the
    other end of standard input, however it went."""
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


# --- CloudFormation ---------------------------------------------------------------


def register(resource_type, create, delete=lambda physical_id, props: None):
    """Adds a resource type; an update changes nothing."""
    if resource_type in provisioners._RESOURCE_HANDLERS:
        raise RuntimeError(f"MiniStack has {resource_type} by now: remove the stub")
    provisioners._RESOURCE_HANDLERS[resource_type] = {
        "create": create,
        "update": lambda physical_id, old, new, stack_name: (physical_id, {}),
        "delete": delete,
    }


def add_split_in_conditions():
    """Fn::Split in Conditions: MiniStack knows it elsewhere only. (What CloudFormation
    takes there: "Condition functions", CloudFormation Template Reference.)"""
    evaluate = engine._evaluate_conditions

    def split(value, params):
        if isinstance(value, list):
            return [split(v, params) for v in value]
        if not isinstance(value, dict):
            return value
        if "Fn::Split" in value:
            separator, text = value["Fn::Split"]
            return params[text["Ref"]]["Value"].split(separator)
        return {k: split(v, params) for k, v in value.items()}

    def with_split(template, params):
        return evaluate(template | {"Conditions": split(template.get("Conditions", {}), params)}, params)

    for module in list(sys.modules.values()):  # they import it by name
        if getattr(module, "_evaluate_conditions", None) is evaluate:
            module._evaluate_conditions = with_split


def add_gradual_deployments():
    """CodeDeploy: MiniStack has none. An alias is moved at once, which is where every
    gradual deployment ends; its resources do nothing else."""
    for kind in ("Application", "DeploymentGroup"):
        register(f"AWS::CodeDeploy::{kind}", lambda logical_id, props, stack_name: (f"{stack_name}-{logical_id}", {}))


def add_route_responses():
    """AWS::ApiGatewayV2::RouteResponse: MiniStack has the operations, not the resource."""

    def route(props):  # MiniStack's Ref of a route is API/route, AWS's the route
        return props["ApiId"], props["RouteId"].rpartition("/")[2]

    def create(logical_id, props, stack_name):
        made = provisioners._apigw_v2_result(
            apigateway._create_route_response(*route(props), {"routeResponseKey": props["RouteResponseKey"]}),
            "AWS::ApiGatewayV2::RouteResponse create")
        return made["routeResponseId"], {}

    def delete(physical_id, props):
        provisioners._apigw_v2_result(
            apigateway._delete_route_response(*route(props), physical_id),
            "AWS::ApiGatewayV2::RouteResponse delete", missing_ok=True)

    register("AWS::ApiGatewayV2::RouteResponse", create, delete)


def add_metric_math():
    """Alarms on expressions: MiniStack refuses them. They are kept as they are, and
    evaluated as if they were on the first of their metrics."""
    record = provisioners._cw_metric_alarm_record

    def with_metrics(name, props):
        metrics = props.get("Metrics")
        if not metrics:
            return record(name, props)
        stat = next(m["MetricStat"] for m in metrics if "MetricStat" in m)
        single = {k: v for k, v in props.items() if k != "Metrics"}
        alarm = record(name, single | stat["Metric"] | {"Statistic": stat["Stat"], "Period": stat["Period"]})
        return alarm | {"Metrics": metrics}

    provisioners._cw_metric_alarm_record = with_metrics


def add_budgets():
    """AWS::Budgets::Budget: MiniStack has the operations, not the resource. Of actions it
    has neither: one is there, and the test does what AWS would do by it ("Configuring
    AWS Budgets actions", AWS Cost Management User Guide)."""

    def create(logical_id, props, stack_name):
        name = f"{stack_name}-{logical_id}"
        limit = props["Budget"]["BudgetLimit"]
        provisioned(budgets._create_budget(props | {"Budget": props["Budget"] | {
            "BudgetName": name, "BudgetLimit": {"Amount": str(limit["Amount"]), "Unit": limit["Unit"]}}}))
        return name, {}

    def delete(physical_id, props):
        budgets._delete_budget({"BudgetName": physical_id})

    def provisioned(answer):
        if answer[0] != 200:
            raise RuntimeError(f"AWS::Budgets::Budget create: {answer}")

    register("AWS::Budgets::Budget", create, delete)
    register("AWS::Budgets::BudgetsAction", lambda logical_id, props, stack_name: (f"{stack_name}-{logical_id}", {}))


# --- Parameter Store --------------------------------------------------------------


def add_parameters_by_arn():
    """ssm:GetParameter by ARN: MiniStack answers, but asks for permission to read a
    parameter whose name is the ARN. ("Name: The name or Amazon Resource Name (ARN) of
    the parameter", GetParameter, Systems Manager API Reference)"""
    extract = iam_actions.extract_resource_arn

    def extract_once(service, *args, **kwargs):
        resource = extract(service, *args, **kwargs)
        if service == "ssm" and isinstance(resource, str) and ":parameter/arn:" in resource:
            return resource.split(":parameter/", 1)[1]
        return resource

    iam_actions.extract_resource_arn = extract_once


# --- EventBridge ------------------------------------------------------------------


def add_sources_of_events():
    """The condition key events:source: MiniStack looks at it in rules only. ("events:source",
    Using IAM policy conditions in Amazon EventBridge)"""
    source = contextvars.ContextVar("source", default="")
    extract, enforce = iam_actions.extract_resource_arn, iam_evaluator.enforce

    def extract_source(service, method, path, headers, body, *args, **kwargs):
        if service == "events":
            sources = {entry.get("Source") for entry in json.loads(body or b"{}").get("Entries", [])}
            source.set(sources.pop() if len(sources) == 1 else "")
        return extract(service, method, path, headers, body, *args, **kwargs)

    def enforce_source(access_key, action, *args, service_context=None, **kwargs):
        if action == "events:PutEvents":
            service_context = {**(service_context or {}), "events:source": source.get()}
        return enforce(access_key, action, *args, service_context=service_context, **kwargs)

    iam_actions.extract_resource_arn, iam_evaluator.enforce = extract_source, enforce_source


# --- Lambda -----------------------------------------------------------------------


class Extension:
    """An internal extension: idle while it waits for the next invocation."""

    def __init__(self):
        self.lock = threading.Lock()
        self.events = queue.Queue()
        self.idle = threading.Event()

    def give(self, event):
        with self.lock:
            self.idle.clear()
            self.events.put(event)

    def next(self, stopped):
        """The next invocation; None if the environment is stopped."""
        with self.lock:
            if self.events.empty():
                self.idle.set()
        while not stopped():
            try:
                return self.events.get(timeout=GLANCE)
            except queue.Empty:
                continue
        return None


class Invocations:
    """The queue of an environment's invocations; its extensions are told of each."""

    def __init__(self, pending, worker):
        self.pending, self.worker = pending, worker

    def get(self, timeout):
        invocation = self.pending.get(timeout=timeout)
        request_id, _, deadline, trace_id, arn = invocation
        self.worker.deadline = deadline / 1000
        for extension in list(self.worker.extensions.values()):
            extension.give({
                "eventType": "INVOKE", "deadlineMs": deadline, "requestId": request_id, "invokedFunctionArn": arn,
                "tracing": {"type": "X-Amzn-Trace-Id", "value": trace_id or ""},
            })
        return invocation


def add_extensions():
    """The Extensions API: MiniStack has none. An environment with extensions takes the
    next invocation when all of them have asked for it, and counts as busy until then,
    although its answer is out ("Using the Lambda Extensions API to create extensions",
    Lambda Developer Guide)."""
    build = lambda_runtime.ProvidedWorker._build_handler_class

    def build_handler_class(worker, generation, pending):
        worker.extensions = extensions = {}

        class Handler(build(worker, generation, Invocations(pending, worker))):
            def do_GET(self):
                if not self.path.endswith("/extension/event/next"):
                    return super().do_GET()
                extension = extensions.get(self.headers.get("Lambda-Extension-Identifier"))
                if extension is None:
                    return self._respond(403, b'{"errorType":"Extension.UnknownExtensionIdentifier"}')
                event = extension.next(lambda: worker._stopping or generation != worker._generation)
                if event is None:
                    return self._stopped()
                self._respond(200, json.dumps(event).encode())

            def do_POST(self):
                if not self.path.endswith("/extension/register"):
                    return super().do_POST()
                self._read_body()
                identifier = new_uuid()
                extensions[identifier] = Extension()
                body = json.dumps({"functionName": worker.func_name, "functionVersion": "1", "handler": "bootstrap"}).encode()
                self.send_response(200)
                self.send_header("Lambda-Extension-Identifier", identifier)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler

    lambda_runtime.ProvidedWorker._build_handler_class = build_handler_class

    release, release_slot = lambda_svc.release_worker, lambda_svc._release_execution_slot
    at_work = threading.local()  # the environment that this thread has released, if it is not idle

    def release_worker(worker):
        if worker is None or idle(worker):
            return release(worker)
        at_work.worker = worker

    def release_execution_slot(key):
        worker = at_work.__dict__.pop("worker", None)
        if worker is None:
            return release_slot(key)

        def finish():
            while not idle(worker):
                if time.time() > worker.deadline:
                    worker._teardown()  # as at the end of an invocation that takes too long
                    break
                time.sleep(GLANCE / 10)
            release(worker)
            release_slot(key)

        threading.Thread(target=finish, daemon=True).start()

    lambda_svc.release_worker, lambda_svc._release_execution_slot = release_worker, release_execution_slot


def idle(worker):
    process = worker._proc
    return process is None or process.poll() is not None or all(e.idle.is_set() for e in list(worker.extensions.values()))


# --- API Gateway ------------------------------------------------------------------

# What the function answered to $connect, for the handshake of this task.
handshake = contextvars.ContextVar("handshake")


def add_concurrent_frames():
    """MiniStack invokes the function for one frame of a connection after the other. AWS
    does not wait: "Responses are asynchronous and are not necessarily received by the
    client in the same order" ("Overview of WebSocket APIs", API Gateway Developer
    Guide)."""
    invoke = apigateway._invoke_ws_lambda
    running = set()  # or the loop would forget them

    async def concurrently(api_id, account_id, region, route, stage, connection_id, event_type, *args, **kwargs):
        answer = invoke(api_id, account_id, region, route, stage, connection_id, event_type, *args, **kwargs)
        if event_type == "CONNECT":
            handshake.get({}).update(await answer or {})
            return handshake.get({})
        if event_type != "MESSAGE":
            return await answer
        task = asyncio.create_task(forward(answer, api_id, route, connection_id, request_id=args[0]))
        running.add(task)
        task.add_done_callback(running.discard)
        return None

    apigateway._invoke_ws_lambda = concurrently

    respond = lambda_svc.lambda_execute_result_to_api_proxy_response

    def mark(result):
        response, error = respond(result)
        if result.get("throttle") or result.get("error"):
            response = {"statusCode": 502, "failed": True}
        return response, error

    lambda_svc.lambda_execute_result_to_api_proxy_response = mark


async def forward(answer, api_id, route, connection_id, request_id):
    """Sends the answer to a frame, if its route has a response: on AWS others are one-way
    ("Set up route responses for a WebSocket API", API Gateway Developer Guide). Where
    there is none, sends what API Gateway was seen to send: MiniStack would send the
    error itself."""
    response = await answer or {"failed": True}
    connection = apigateway._ws_connections.get(connection_id)
    if connection is None:
        return
    if response.get("failed"):
        await connection["outbox"].put(
            f'{{"message": "Internal server error", "connectionId":"{connection_id}", "requestId":"{request_id}"}}')
    elif response.get("body") and apigateway._route_responses.get(api_id, {}).get(route["routeId"]):
        await connection["outbox"].put(response["body"])


def add_handshake_answers():
    """MiniStack answers a refused handshake with 403, whatever the function said, and
    never with a subprotocol. AWS passes on the status, and the header
    Sec-WebSocket-Protocol ("Set up a WebSocket API's $connect route", API Gateway
    Developer Guide)."""
    handle = apigateway.handle_websocket

    async def with_answer(scope, receive, send, *args, **kwargs):
        answer, begun = {}, False
        handshake.set(answer)

        async def pass_on(message):
            nonlocal begun
            if begun:
                return await send(message)
            begun = True
            if message["type"] == "websocket.accept":
                headers = {k.lower(): v for k, v in (answer.get("headers") or {}).items()}
                return await send(message | {"subprotocol": headers.get("sec-websocket-protocol")})
            if message["type"] == "websocket.close" and answer:
                await send({"type": "websocket.http.response.start", "status": answer["statusCode"], "headers": []})
                return await send({"type": "websocket.http.response.body", "body": b""})
            await send(message)

        await handle(scope, receive, pass_on, *args, **kwargs)

    apigateway.handle_websocket = with_answer


def add_custom_domains():
    """MiniStack serves WebSocket APIs at their own host only, not at the domains that
    are mapped to them."""
    parse = app._parse_execute_api_url
    app._parse_execute_api_url = lambda host, path: parse(host, path) or app._resolve_custom_domain_request(host, path)



main()
