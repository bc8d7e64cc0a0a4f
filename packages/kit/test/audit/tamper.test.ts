import { spawnSync } from "node:child_process";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type AuditEvent,
  base64url,
  canonicalJson,
  hashLeaf,
  headBytes,
  type JsonValue,
  MerkleFrontier,
  rootOfInclusion,
} from "@gatehouse/core";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exportLog, openLogSource, proveEntry, verifyLog } from "../../src/index.ts";
import { event, type LogPlace, openLogPlace } from "./log-under-test.ts";

const PYTHON = fileURLToPath(new URL("../../../../spec/audit/", import.meta.url));
/** Every kind of entry that the product writes, and what only a reader could meet. */
const EVENTS: readonly AuditEvent[] = [
  event(0, { kind: "gate.started", run: null, agent: null, actor: "node", data: { runs: 0, refused: [] } }),
  event(1, {
    kind: "grant.created",
    run: null,
    agent: null,
    actor: "uid:1000",
    data: { hosts: ["a.test"], name: "g" },
  }),
  event(2, { kind: "run.registered", data: { grants: ["g"], is_exposed: false, policy: { mode: "strict" } } }),
  event(3, {
    kind: "request.injected",
    data: { grants: ["g"], method: "GET", status: 200, url: "https://a.test/é\u2028" },
  }),
  event(4, { kind: "request.denied", data: { code: "gate.policy_denied", host: "b.test", rule: null } }),
  event(5, { kind: "grant.revoked", run: null, data: { name: "g" } }),
  event(6, { kind: "run.ended", data: {} }),
];

let place: LogPlace;
let lines: readonly string[] = [];
let path = "";

beforeAll(async () => {
  place = await openLogPlace();
  for (const half of [EVENTS.slice(0, 4), EVENTS.slice(4)]) {
    await using log = await place.open();
    log.note(half);
  }
  path = join(place.directory, "export.jsonl");
  await exportLog(await openLogSource(place.directory), path);
  lines = (await readFile(path, "utf8")).trimEnd().split("\n");
});
afterAll(() => place[Symbol.asyncDispose]());

/** What our verifier says of an export with these lines: `undefined` when nothing is wrong. */
async function faultOf(changed: readonly string[]): Promise<string | undefined> {
  const copy = join(place.directory, "changed.jsonl");
  await writeFile(copy, textOf(changed));
  const failure: unknown = await verifyLog(await openLogSource(copy), { pinned: place.key.publicKey }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (failure !== undefined) expect(failure).toMatchObject({ code: "audit.tampered" });
  return failure === undefined ? undefined : String(failure);
}

/** Lets the verifier that shares nothing with ours judge many exports at once. Returns those that it takes. */
async function takenByPython(exports: ReadonlyMap<string, string>): Promise<readonly string[]> {
  const list = join(place.directory, "exports.json");
  await writeFile(list, JSON.stringify([...exports]));
  const script = `
import json, sys, tempfile
sys.path.insert(0, sys.argv[1])
from verify_audit import Tampered, check_export
for what, text in json.load(open(sys.argv[2], encoding="utf-8")):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        try:
            check_export(file.name, sys.argv[3])
            print(what)
        except Tampered:
            pass
`;
  const key = base64url(place.key.publicKey);
  const { stdout, stderr } = spawnSync("python3", ["-B", "-c", script, PYTHON, list, key], { encoding: "utf8" });
  expect(stderr).toBe("");
  return stdout.split("\n").filter((line) => line !== "");
}

/** Exports that both verifiers must refuse, so that neither can be the only one that is right. */
async function expectFound(exports: ReadonlyMap<string, readonly string[]>): Promise<void> {
  for (const [what, changed] of exports) expect(await faultOf(changed), what).toBeDefined();
  expect(await takenByPython(new Map([...exports].map(([what, changed]) => [what, textOf(changed)])))).toEqual([]);
}

const textOf = (changed: readonly string[]) => changed.map((line) => `${line}\n`).join("");

const withLine = (at: number, line: string) => lines.map((one, index) => (index === at ? line : one));

function otherValue(value: JsonValue): JsonValue {
  if (typeof value === "string") return value === "" ? "x" : `${value.slice(0, -1)}${value.endsWith("A") ? "B" : "A"}`;
  if (typeof value === "number") return value + 1;
  if (Array.isArray(value)) return [...value, "more"];
  return value === null ? "" : { ...(value as object), more: 1 };
}

test("an export that nobody touched is what was signed, for both verifiers", async () => {
  expect(await faultOf(lines)).toBeUndefined();
  expect(await takenByPython(new Map([["untouched", textOf(lines)]]))).toEqual(["untouched"]);
});

test("a change of any member of any line is found", async () => {
  const changes = new Map<string, readonly string[]>();
  for (const [at, line] of lines.entries()) {
    const value = JSON.parse(line) as Record<string, JsonValue>;
    for (const name of Object.keys(value)) {
      const { [name]: member = null, ...rest } = value;
      changes.set(`${name} of line ${at}`, withLine(at, canonicalJson({ ...value, [name]: otherValue(member) })));
      changes.set(`no ${name} in line ${at}`, withLine(at, canonicalJson(rest)));
    }
    changes.set(`more in line ${at}`, withLine(at, canonicalJson({ ...value, more: 1 })));
  }
  await expectFound(changes);
});

test("a change of any member of any entry's data is found", async () => {
  const changes = new Map<string, readonly string[]>();
  for (const [at, line] of lines.entries()) {
    const entry = JSON.parse(line) as { readonly data?: Record<string, JsonValue> };
    for (const [name, member] of Object.entries(entry.data ?? {})) {
      const data = { ...entry.data, [name]: otherValue(member) };
      changes.set(`${name} of line ${at}`, withLine(at, canonicalJson({ ...entry, data })));
    }
  }
  await expectFound(changes);
});

test("a deleted, doubled or moved line is found, and so is an end that was cut off", async () => {
  // A head in the middle takes nothing away with it, and what ends with one is an export of an earlier day.
  const middle = 5;
  const changes = new Map<string, readonly string[]>();
  for (const at of lines.keys()) {
    if (at !== middle) changes.set(`without line ${at}`, [...lines.slice(0, at), ...lines.slice(at + 1)]);
    if (at !== middle) changes.set(`cut off behind line ${at}`, lines.slice(0, at + 1));
    changes.set(`line ${at} twice`, [...lines.slice(0, at + 1), ...lines.slice(at)]);
    const swapped = [...lines.slice(0, at - 1), lines[at] ?? "", lines[at - 1] ?? "", ...lines.slice(at + 1)];
    if (at > 0) changes.set(`lines ${at - 1} and ${at} swapped`, swapped);
  }
  changes.delete(`cut off behind line ${lines.length - 1}`);
  await expectFound(changes);
});

test("any other byte anywhere is found", async () => {
  const text = Buffer.from(textOf(lines));
  const copy = join(place.directory, "bytes.jsonl");
  const anywhere = fc.nat({ max: text.length - 1 });
  await fc.assert(
    fc.asyncProperty(anywhere, fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const changed = Buffer.from(text);
      changed[at] = (changed[at] ?? 0) ^ flip;
      await writeFile(copy, changed);
      await expect(verifyLog(await openLogSource(copy))).rejects.toMatchObject({ code: "audit.tampered" });
    }),
    { numRuns: 400 },
  );
});

test("an end that was cut off anywhere but behind a head, or has something behind it, is found by both verifiers", async () => {
  const text = textOf(lines);
  const copy = join(place.directory, "cut.jsonl");
  const heads = lines.flatMap((line, at) =>
    line.includes('"signature"') ? [textOf(lines.slice(0, at + 1)).length] : [],
  );
  const changes = new Map([["a byte more", `${text}x`]]);
  for (let at = 0; at < text.length; at += 1)
    if (!heads.includes(at)) changes.set(`cut off at ${at}`, text.slice(0, at));
  for (const [what, changed] of changes) {
    await writeFile(copy, changed);
    await expect(verifyLog(await openLogSource(copy)), what).rejects.toMatchObject({ code: "audit.tampered" });
  }
  expect(await takenByPython(new Map([...changes].filter((_, at) => at % 7 === 0)))).toEqual([]);
});

test("a byte that is missing or doubled anywhere is found by both verifiers", async () => {
  const text = textOf(lines);
  const copy = join(place.directory, "shifted.jsonl");
  const changes = new Map<string, string>();
  for (let at = 0; at < text.length; at += 7) {
    changes.set(`without ${at}`, text.slice(0, at) + text.slice(at + 1));
    changes.set(`${at} twice`, text.slice(0, at + 1) + text.slice(at));
  }
  for (const [what, changed] of changes) {
    await writeFile(copy, changed);
    await expect(verifyLog(await openLogSource(copy)), what).rejects.toMatchObject({ code: "audit.tampered" });
  }
  expect(await takenByPython(changes)).toEqual([]);
});

test("the sentence names the entry, or those among which it is", async () => {
  expect(await faultOf(withLine(2, (lines[2] ?? "").replace("a.test", "b.test")))).toContain("is among 0 to 3.");
  expect(await faultOf([...lines.slice(0, 3), ...lines.slice(4)])).toContain("Entry 2 is missing");
  expect(await faultOf(withLine(7, `${lines[7]} `))).toContain("Entry 5 was changed");
});

test("a log that was written anew under another key is what that key signed, and refused where the key is pinned", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const key = publicKey.export({ type: "spki", format: "der" }).subarray(-32);
  const hash = (data: string | Uint8Array) => new Uint8Array(createHash("sha256").update(data).digest());
  const log = "forged";
  const entry = (lines[1] ?? "").replace("gate.started", "gate.nothing");
  const tree = new MerkleFrontier(hash);
  tree.append(hashLeaf(hash, entry));
  const head = { size: 1, root: tree.root(), time: 1 };
  const forged = [
    canonicalJson({ gatehouse_audit: 1, key: base64url(key), log }),
    entry,
    canonicalJson({
      key_id: base64url(hash(new Uint8Array(key))),
      root: base64url(head.root),
      signature: base64url(new Uint8Array(sign(null, headBytes(log, head), privateKey))),
      size: 1,
      time: 1,
      witnesses: [],
    }),
  ];
  const copy = join(place.directory, "forged.jsonl");
  await writeFile(copy, forged.map((line) => `${line}\n`).join(""));
  expect(await verifyLog(await openLogSource(copy))).toMatchObject({ entries: 1, log });
  await expectFound(new Map([["another key", forged]]));
});

test("every entry is proven against the last head, by the other proof checker too, and a changed proof is not", async () => {
  const source = await openLogSource(place.directory);
  for (const seq of EVENTS.keys()) {
    const { entry, path: proof, head, log } = await proveEntry(source, seq);
    const sha256 = (data: string | Uint8Array) => new Uint8Array(createHash("sha256").update(data).digest());
    const leafHash = hashLeaf(sha256, canonicalJson(entry as unknown as JsonValue));
    const root = rootOfInclusion(sha256, { leafHash, index: seq, size: head.size, path: proof });
    expect(root).toEqual(head.root);
    expect(log).toBe((await verifyLog(source)).log);
  }
  await expect(proveEntry(source, EVENTS.length)).rejects.toMatchObject({ code: "audit.not_found" });
});
