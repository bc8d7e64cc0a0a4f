"""Reads connections with h11. In: JSON list of base64 texts. Out: JSON list of readings."""

import base64
import json
import sys

import h11


def read(data):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 18)
    connection.receive_data(data)
    requests, request, size = [], None, 0
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                request, size = event, 0
            elif isinstance(event, h11.Data):
                size += len(event.data)
            elif isinstance(event, h11.EndOfMessage):
                host = dict(request.headers)[b"host"].decode("latin1")
                requests.append(
                    {
                        "method": request.method.decode("latin1"),
                        "target": request.target.decode("latin1"),
                        "host": host,
                        "bodyBytes": size,
                    }
                )
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is h11.MUST_CLOSE:
                    break
                connection.start_next_cycle()
            else:
                break
    except h11.RemoteProtocolError:
        return {"requests": requests, "hasRefused": True}
    return {"requests": requests, "hasRefused": False}


print(json.dumps([read(base64.b64decode(text)) for text in json.load(sys.stdin)]))
