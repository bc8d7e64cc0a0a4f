"""Reads the answer to one request with h11. In: JSON list of {method, bytes}. Out: JSON list of answers."""

import base64
import json
import sys

import h11


def read(method, data):
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 18)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "api.test")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    status, body = 0, b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return {"status": status, "body": body.decode("latin1"), "isWhole": True}
            elif not isinstance(event, h11.InformationalResponse):
                return {"status": status, "body": body.decode("latin1"), "isWhole": False}
    except h11.RemoteProtocolError:
        return {"status": status, "body": body.decode("latin1"), "isWhole": False}


print(json.dumps([read(one["method"], base64.b64decode(one["bytes"])) for one in json.load(sys.stdin)]))
