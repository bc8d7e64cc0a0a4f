"""Asks an API twice in one session of a library, which takes a streamed body under its own name, and sends it 2.7 MB."""

import hashlib
import importlib
import sys

library, session, body, origin = sys.argv[1:]
lines = b"".join(b"%d\n" % n for n in range(1, 400_001))
with getattr(importlib.import_module(library), session)() as client:
    client.get(f"{origin}/me").raise_for_status()
    parts = (lines[at : at + 65_536] for at in range(0, len(lines), 65_536))
    answer = client.post(f"{origin}/upload", **{body: parts})
    answer.raise_for_status()
    assert answer.json()["sha256"] == hashlib.sha256(lines).hexdigest()
print("searchable", flush=True)
sys.stdin.read()
