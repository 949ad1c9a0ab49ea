"""What openapi.yaml cannot say, for schemathesis (TestBackendAPIAsDescribed)."""

import os
import re

import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from requests.auth import AuthBase

ONLINE = "bob"
SENDER = re.compile(r"backend:[A-Za-z0-9/_+=,.@-]{1,248}")


def is_name(value):
    """A user's name is bounded in bytes, which JSON Schema does not count."""
    return not isinstance(value, str) or "\ufffd" not in value and len(value.encode("utf-8", "replace")) <= 256


@schemathesis.hook
def filter_query(_context, query):
    return not isinstance(query, dict) or is_name(query.get("user"))


@schemathesis.hook
def filter_body(_context, body):
    """Nor is the one disconnected whom messages are for: schemathesis learns names from answers."""
    return not isinstance(body, dict) or is_name(body.get("user")) and is_name(body.get("to")) and body.get("user") != ONLINE


@schemathesis.hook
def map_body(_context, body):
    """Half of the messages are for somebody who is online, and most are from the caller."""
    if isinstance(body, dict) and isinstance(body.get("to"), str) and len(body["to"]) % 2 == 1 and len(body["to"]) <= 256:
        body = {**body, "to": ONLINE}
        if isinstance(body.get("from"), str) and SENDER.fullmatch(body["from"]):
            body["from"] = os.environ["SENDER"]
    return body


class Signed(AuthBase):
    """Signs for the URL of a function, as AWS's SDK for Python does."""

    def __call__(self, request):
        signed = AWSRequest(method=request.method, url=request.url, data=request.body or b"")
        SigV4Auth(Credentials("local", "local"), "lambda", "us-east-1").add_auth(signed)
        request.headers.update(signed.headers)
        return request


class Key(AuthBase):
    """Shows the key of one machine."""

    def __call__(self, request):
        request.headers["Authorization"] = "Bearer " + os.environ["KEY"]
        return request


schemathesis.auth.set_from_requests(Key() if "KEY" in os.environ else Signed())
