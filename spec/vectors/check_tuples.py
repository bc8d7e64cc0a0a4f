#!/usr/bin/env python3
"""Checks signed-tuples.json with an encoder of its own, written from the rule and sharing nothing with the product.

Each field is its length (u32, big-endian) and its bytes; the first field is the domain. Text is UTF-8 and NFC,
refused when it is not; integers are 8 bytes big-endian; a list is a tuple of its own.

usage: check_tuples.py [FILE]      exit 0: every vector holds; 1: at least one does not
"""

import hashlib
import json
import pathlib
import struct
import sys
import unicodedata


class Refused(Exception):
    """The value has no encoding."""


def encode_text(value):
    if unicodedata.normalize("NFC", value) != value:
        raise Refused("not NFC")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as failure:
        raise Refused("not well-formed") from failure


def encode_integer(value):
    if not 0 <= value < 2**63:
        raise Refused("out of range")
    return struct.pack(">Q", value)


def encode_field(field):
    ((kind, value),) = field.items()
    if kind == "text":
        return encode_text(value)
    if kind == "hex":
        return bytes.fromhex(value)
    if kind == "integer":
        return encode_integer(int(value))
    if kind == "list":
        return encode_fields(value)
    raise ValueError(f"unknown kind of field: {kind}")


def encode_fields(fields):
    parts = [encode_field(field) for field in fields]
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def encode_tuple(vector):
    return encode_fields([{"text": vector["domain"]}, *vector["fields"]])


def check_encoded(vector):
    encoded = encode_tuple(vector)
    if encoded.hex() != vector["encoded"]:
        return f"encoded as {encoded.hex()}"
    if hashlib.sha256(encoded).hexdigest() != vector["sha256"]:
        return "another SHA-256"
    return None


def check_refused(vector):
    try:
        encode_tuple(vector)
    except Refused:
        return None
    return "was not refused"


def main(path):
    vectors = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    failures = [(vector["name"], check_encoded(vector)) for vector in vectors["encoded"]]
    failures += [(vector["name"], check_refused(vector)) for vector in vectors["refused"]]
    wrong = [f"{name}: {why}" for name, why in failures if why]
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{len(failures) - len(wrong)} of {len(failures)} vectors hold")
    return 1 if wrong or not failures else 0


if __name__ == "__main__":
    default = pathlib.Path(__file__).with_name("signed-tuples.json")
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else default))
