#!/usr/bin/env python3
"""Verifies what `gatehouse audit prove` printed: that one entry is in the log that a key signed.

usage: verify_proof.py PROOF LOG KEY    LOG: the log's id, KEY: a file with the base64url key; exit codes as verify_audit.py
"""

import json
import sys

from verify_audit import Tampered, canonical, check_head, node, sha256, unbase64

def check_proof(path, pinned, log):
    proof = json.load(open(path, encoding="utf-8"))
    root, index, size = sha256(b"\0" + canonical(proof["entry"]).encode()), proof["index"], proof["size"]
    # RFC 9162 section 2.1.3.2
    fn, sn = index, size - 1
    for sibling in (unbase64(text, 32) for text in proof["path"]):
        if sn == 0:
            raise Tampered("the path is too long")
        if fn & 1 or fn == sn:
            root = node(sibling, root)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node(root, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn or not 0 <= index < size or proof["entry"]["seq"] != index :
        raise Tampered("the path is of another entry or tree")
    check_head(proof["head"], log, unbase64(pinned, 32), root, (1, size))
    return f"entry {index} is in the log of {size} entries that the key signed"


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(2)
    try:
        print(check_proof(sys.argv[1], open(sys.argv[3], encoding="ascii").read().strip(), sys.argv[2]))
    except (Tampered, KeyError, TypeError) as why:
        print(f"not what was signed: {why}", file=sys.stderr)
        sys.exit(4)
