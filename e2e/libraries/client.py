"""A client of python-socketio. It does what the lines of its input ask for and tells what happens in lines of its output,
as all programs of this folder do (../libraries_test.go)."""

import json
import sys
import threading
import urllib.parse

import socketio

lock = threading.Lock()
client = socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.5, handle_sigint=False) \
    if sys.argv[1] == "5" else socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.5)


def say(on, *args, **more):
    with lock:
        print(json.dumps({"on": on, "args": args, **more}), flush=True)


def listen(token):
    @client.on("connect")
    def connected():
        say("connect")
        if token is not None:
            client.emit("authentication", {"token": token}, callback=lambda *args: say("authenticated", *args))

    @client.on("disconnect")
    def disconnected(*_):
        say("disconnect")

    @client.on("connect_error")
    def failed(*args):
        say("connect_error", *map(str, args))

    for event in ["owt-message", "server-authenticated", "server-disconnect", "server-refused", "error"]:
        client.on(event, lambda *args, event=event: say(event, *args))


def connect(url, query=None, auth=None, transports=None, token=None, **_):
    listen(token)
    if query:
        url += "?" + urllib.parse.urlencode(query)
    try:
        more = {"auth": auth, "wait_timeout": 30} if sys.argv[1] == "5" else {}
        client.connect(url, transports=transports, **more)
    except socketio.exceptions.ConnectionError as e:
        say("connect_error", str(e))


for line in sys.stdin:
    ask = json.loads(line)
    match ask.pop("do"):
        case "connect":
            connect(**ask)
        case "emit":
            client.emit(ask["name"], tuple(ask["args"]), callback=lambda *args, id=ask["id"]: say("ack", *args, id=id))
        case "disconnect":
            client.disconnect()
client.disconnect()
