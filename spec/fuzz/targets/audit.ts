import { ok } from "node:assert";
import { createHash, createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import type { RandomNumber } from "@gatehouse/testbed";
import {
  AuditVerifier,
  auditKeyId,
  encodeEntry,
  encodeHead,
  hashLeaf,
  headBytes,
  isHeadLine,
  MerkleFrontier,
} from "../../../packages/core/src/index.ts";
import { mutate } from "../../../packages/gate/test/http1/mutate.ts";
import { type FuzzTarget, unlessRefused } from "../fuzz-target.ts";

const LOG = "node-1";
// The PKCS #8 form of an Ed25519 key of 32 equal bytes: a log that is the same in every run.
const privateKey = createPrivateKey({
  key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.alloc(32, 7)]),
  format: "der",
  type: "pkcs8",
});
const publicKey = createPublicKey(privateKey);
const key = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
const hash = (data: string | Uint8Array) => new Uint8Array(createHash("sha256").update(data).digest());
const deps = {
  hash,
  verify: (by: Uint8Array, bytes: Uint8Array, signature: Uint8Array) =>
    Buffer.from(by).equals(key) && verify(null, bytes, publicKey, signature),
};

/** Twelve entries, a head behind each third. */
function makeLog(): readonly string[] {
  const tree = new MerkleFrontier(hash);
  const lines: string[] = [];
  for (let seq = 0; seq < 12; seq += 1) {
    const at = { seq, time: 1_700_000_000_000 + seq, org: null, node: LOG, run: `run-${seq % 3}`, agent: null };
    const entry = encodeEntry({
      ...at,
      actor: "gate",
      kind: "credential.used",
      data: { host: "api.test", count: seq },
    });
    lines.push(entry);
    tree.append(hashLeaf(hash, entry));
    if (seq % 3 !== 2) continue;
    const head = { size: seq + 1, root: tree.root(), time: at.time };
    const signature = new Uint8Array(sign(null, headBytes(LOG, head), privateKey));
    lines.push(encodeHead({ ...head, keyId: auditKeyId(hash, key), signature }));
  }
  return lines;
}

const LINES = makeLog();
const isEntry = (line: string) => !isHeadLine(line);
const log = Buffer.from(LINES.join("\n"));

/** Logs that were tampered with: whatever a head is said to cover is what was written. */
export const target: FuzzTarget = {
  corpus: [log],
  generate: (random) => (random(3) === 0 ? mutate([log], random) : tamper(random)),
  check: (input) => {
    const verifier = new AuditVerifier(deps, { log: LOG, key });
    const lines = input.toString().split("\n");
    let covered = 0;
    for (const [at, line] of lines.entries()) {
      if (unlessRefused(() => verifier.push(line) ?? "head") === undefined) break;
      if (verifier.unprotected === 0) covered = at + 1;
    }
    // A head may be left out: a later one covers the same entries.
    const entries = lines.slice(0, covered).filter(isEntry);
    ok(entries.join("\n") === LINES.filter(isEntry).slice(0, entries.length).join("\n"), "changed entries verify");
  },
};

/** Changes that stay well-formed: a digit, a letter, lines that change places, go or stand twice. */
function tamper(random: RandomNumber): Buffer {
  const lines = [...LINES];
  for (let changes = 1 + random(2); changes > 0; changes -= 1) {
    const at = random(lines.length);
    const line = lines[at] ?? "";
    const change = random(5);
    if (change === 0) lines.splice(at, 1);
    else if (change === 1) lines.splice(random(lines.length), 0, line);
    else lines[at] = replaceOne(line, random);
  }
  return Buffer.from(lines.join("\n"));
}

function replaceOne(line: string, random: RandomNumber): string {
  const at = random(line.length);
  const char = line[at] ?? "";
  const put = /[0-9]/.test(char) ? String(random(10)) : /[a-z]/.test(char) ? "abcxyz"[random(6)] : char;
  return line.slice(0, at) + put + line.slice(at + 1);
}
