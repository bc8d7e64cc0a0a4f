#!/usr/bin/env python3
"""Checks audit.json with the verifier of spec/audit, which shares nothing with the product, and proofs written from
RFC 9162 section 2.1.3 and 2.1.4.

exit 0: every vector holds; 1: at least one does not
"""

import json
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "audit"))
sys.dont_write_bytecode = True
from verify_audit import Tampered, canonical, check_export, is_signed, node, read, sha256  # noqa: E402


def root(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node(root(leaves[:split]), root(leaves[split:]))


def path(index, leaves):
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return path(index, leaves[:split]) + [root(leaves[split:])]
    return path(index - split, leaves[split:]) + [root(leaves[:split])]


def subproof(before, leaves, is_whole):
    if before == len(leaves):
        return [] if is_whole else [root(leaves)]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if before <= split:
        return subproof(before, leaves[:split], is_whole) + [root(leaves[split:])]
    return subproof(before - split, leaves[split:], False) + [root(leaves[:split])]


def is_refused(text):
    try:
        read(text.encode("utf-8"))
    except Tampered:
        return True
    return False


def is_verified(lines):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
        file.write("".join(line + "\n" for line in lines))
        file.flush()
        return check_export(file.name, None)


def results(vectors):
    for one in vectors["canonical"]:
        yield one["name"], canonical(one["value"]) == one["canonical"]
    for one in vectors["refused"]:
        yield one["name"], is_refused(one["json"])
    tree, log = vectors["tree"], vectors["log"]
    leaves = [sha256(b"\0" + leaf.encode()) for leaf in tree["leaves"]]
    for size, expected in enumerate(tree["roots"]):
        yield f"root of {size}", root(leaves[:size]).hex() == expected
    for one in tree["inclusion"]:
        yield f"inclusion {one}", [h.hex() for h in path(one["index"], leaves[: one["size"]])] == one["path"]
    for one in tree["consistency"]:
        yield f"consistency {one}", [h.hex() for h in subproof(one["before"], leaves[: one["size"]], True)] == one["proof"]
    for one in log["heads"]:
        unhex = bytes.fromhex
        yield f"head of {one['size']}", is_signed(unhex(log["key"]), unhex(one["bytes"]), unhex(one["signature"]))
    yield "the export", is_verified(log["export"])


def main():
    vectors = json.loads((HERE / "audit.json").read_text(encoding="utf-8"))
    held = list(results(vectors))
    for name, holds in held:
        if not holds:
            print(f"does not hold: {name}", file=sys.stderr)
    print(f"{sum(bool(holds) for _, holds in held)} of {len(held)} vectors hold")
    return 0 if all(holds for _, holds in held) else 1


if __name__ == "__main__":
    sys.exit(main())
