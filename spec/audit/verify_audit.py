#!/usr/bin/env python3
"""Verifies an audit export by the published rules alone, with the standard library and no line of the product:
RFC 8785 canonical JSON, RFC 9162 Merkle tree, RFC 8032 Ed25519.

usage: verify_audit.py EXPORT [--key FILE]    exit 0: it is what was signed; 4: it is not, and why; 2: wrong usage
"""

import base64
import hashlib
import json
import re
import struct
import sys
import unicodedata

COUNT, TEXT, MAYBE = (int,), (str,), (str, type(None))
ENTRY = dict(seq=COUNT, time=COUNT, org=MAYBE, node=MAYBE, run=MAYBE, agent=MAYBE, actor=TEXT, kind=TEXT, data=(dict,))
HEAD = dict(size=COUNT, root=TEXT, time=COUNT, key_id=TEXT, signature=TEXT, witnesses=(list,))
WITNESS = dict(key=TEXT, node=TEXT, signature=TEXT)

class Tampered(Exception):
    """The export is not what was signed."""

def sha256(data):
    return hashlib.sha256(data).digest()

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P

def recover(data):
    sign, y = divmod(int.from_bytes(data, "little"), 2**255)
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    x = x * pow(2, (P - 1) // 4, P) % P if (x * x - xx) % P else x
    if y >= P or (x * x - xx) % P or (x == 0 and sign):
        raise Tampered("a signature or key is no point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P

def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P

def multiply(scalar, point):
    result = (0, 1, 1, 0)
    for bit in f"{scalar:b}":
        result = add(add(result, result), point if bit == "1" else (0, 1, 1, 0))
    return result

BASE = recover((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def is_signed(key, message, signature):
    s = int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left, right = multiply(s, BASE), add(recover(signature[:32]), multiply(k, recover(key)))
    return s < L and not any((left[i] * right[2] - right[i] * left[2]) % P for i in (0, 1))

def unbase64(text, length):
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if re.fullmatch(r"[\w-]*", text, re.A) else b""
    except ValueError:
        data = b""
    if len(data) != length or base64.urlsafe_b64encode(data).decode().rstrip("=") != text:
        raise Tampered(f"not {length} bytes of base64url")
    return data

def canonical(value):
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, str) and (unicodedata.normalize("NFC", value) != value or re.search("[\ud800-\udfff]", value)):
        raise Tampered("text that is not well-formed NFC")
    if isinstance(value, float) or (isinstance(value, int) and abs(value) >= 2**53):
        raise Tampered("a number that is no safe integer")
    return json.dumps(value, ensure_ascii=False)

def ended(line):
    if not line.endswith(b"\n"):
        raise Tampered("it ends within a line")
    return line[:-1]

def read(line):
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or canonical(value).encode() != line:
        raise Tampered("not a canonical JSON object")
    return value

def check_members(value, members):
    if set(value) != set(members) or any(type(value[name]) not in types for name, types in members.items()):
        raise Tampered("other members than it should have")
    if not 0 <= value.get("time", 0) <= 8_640_000_000_000_000:
        raise Tampered("a time that is none")

def node(left, right):
    return sha256(b"\x01" + left + right)

def root_of(peaks):
    result = peaks[-1][1] if peaks else sha256(b"")
    for _, left in reversed(peaks[:-1]):
        result = node(left, result)
    return result

def append(peaks, leaf, height=0):
    while peaks and peaks[-1][0] == height:
        leaf, height = node(peaks.pop()[1], leaf), height + 1
    peaks.append((height, leaf))

def encode(*fields):
    return b"".join(struct.pack(">I", len(field)) + field for field in fields)

def check_head(head, log, key, root, sizes):
    check_members(head, HEAD)
    size, time = (struct.pack(">q", head[name]) for name in ("size", "time"))
    message = encode(b"gatehouse/audit-head/v1", log.encode(), size, root, time)
    if unbase64(head["root"], 32) != root or not sizes[0] <= head["size"] == sizes[1]:
        raise Tampered("the head is of other entries")
    if unbase64(head["key_id"], 32) != sha256(key) or not is_signed(key, message, unbase64(head["signature"], 64)):
        raise Tampered("the head is not signed by the log's key")
    before = ""
    for one in head["witnesses"]:
        check_members(one if isinstance(one, dict) else {}, WITNESS)
        message = encode(b"gatehouse/audit-witness/v1", one["node"].encode(), log.encode(), size, root, time)
        if one["node"].encode("utf-16-be") <= before.encode("utf-16-be"):
            raise Tampered("the witnesses are not in order, each once")
        if not is_signed(unbase64(one["key"], 32), message, unbase64(one["signature"], 64)):
            raise Tampered("a witness did not sign it")
        before = one["node"]
    return {one["key"] for one in head["witnesses"]}

def check_export(path, pinned):
    peaks, size, covered, witnesses = [], 0, 0, set()
    with open(path, "rb") as file:
        header = read(ended(file.readline()))
        check_members(header, {"gatehouse_audit": COUNT, "log": TEXT, "key": TEXT})
        key = unbase64(header["key"], 32)
        if header["gatehouse_audit"] != 1 or pinned not in (None, header["key"]):
            raise Tampered("another version or key")
        for line in map(ended, file):
            try:
                value = read(line)
                if "signature" in value:
                    witnesses |= check_head(value, header["log"], key, root_of(peaks), (covered + 1, size))
                    covered = size
                    continue
                check_members(value, ENTRY)
            except Tampered as why:
                raise Tampered(f"entry {covered} to {size}: {why}") from None
            if value["seq"] != size:
                raise Tampered(f"entry {value['seq']} stands in the place of {size}")
            append(peaks, sha256(b"\0" + line))
            size += 1
    if covered != size or size == 0:
        raise Tampered(f"it does not end with a head: {size - covered} entries are not covered")
    signer = "the pinned key" if pinned else "the key in the export (unpinned)"
    return f"{size} entries are what {signer} signed" + (f"; witnesses: {len(witnesses)}" if witnesses else "")

def main(arguments):
    if len(arguments) not in (1, 3) or arguments[1:2] not in ([], ["--key"]):
        sys.exit(2)
    try:
        print(check_export(arguments[0], open(arguments[2]).read().strip() if arguments[1:] else None))
    except Tampered as why:
        print(f"not what was signed: {why}", file=sys.stderr)
        sys.exit(4)

if __name__ == "__main__":
    main(sys.argv[1:])
