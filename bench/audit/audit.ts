import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AuditEvent, encodeUnnumbered, systemClock } from "@gatehouse/core";
import {
  AuditLog,
  exportLog,
  openLogSource,
  openSigningKey,
  proveEntry,
  SegmentFolder,
  verifyLog,
} from "@gatehouse/kit";
import type { Row } from "../row.ts";

const FULL = 1_000_000;
const SHORT = 50_000;
/** As workers hand them over. */
const BATCH = 256;
const DISTINCT_BATCHES = 100;

/** What a request with a credential puts on record. */
function injection(number: number): AuditEvent {
  const url = `https://api.github.com/repos/acme/widgets/issues/${number}`;
  const data = { grants: ["github"], headers: ["authorization"], host: "api.github.com", method: "GET", port: 443 };
  const time = 1_750_000_000_000 + number;
  const run = "01975b2e-6c1e-7c3a-9d3e-6f2f4a1b8c77";
  return {
    time,
    run,
    agent: "widgets.claude",
    actor: "run",
    kind: "request.injected",
    data: { ...data, rule: "allow #2", url },
  };
}

/** Appends, verifies, exports and proves on a real disk: what one entry costs in time and room. */
export async function benchAudit({ isShort }: { readonly isShort: boolean }): Promise<Row[]> {
  const count = isShort ? SHORT : FULL;
  const directory = await mkdtemp(join(tmpdir(), "gatehouse-bench-audit-"));
  try {
    await mkdir(join(directory, "audit"));
    const writing = await append(directory, count);
    const source = await openLogSource(directory);
    const verifying = await timed(() => verifyLog(source));
    const proving = await timed(() => proveEntry(source, count >> 1));
    const path = join(directory, "export.jsonl");
    await exportLog(source, path);
    const { size } = await stat(path);
    return [
      {
        case: "entries appended, synced in groups",
        value: perSecond(count, writing.ms),
        unit: "/s",
        target: { atLeast: 20_000 },
      },
      {
        case: "processor time of an entry, numbered, hashed and written",
        value: round(writing.cpuUs / count),
        unit: "us",
      },
      { case: "one change, durable when answered", value: round(writing.changeMs), unit: "ms" },
      { case: "entries verified", value: perSecond(count, verifying), unit: "/s" },
      { case: `proof of one entry among ${count}`, value: Math.round(proving), unit: "ms" },
      { case: "room of an entry", value: Math.round(size / count), unit: "bytes" },
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function append(directory: string, count: number) {
  const store = await SegmentFolder.open(join(directory, "audit"));
  const key = await openSigningKey(join(directory, "identity.key"));
  const newLogId = () => "0197a000-0000-7000-8000-000000000001";
  await using log = await AuditLog.open({ store, key, clock: systemClock, newLogId, onChange: () => undefined });
  const change = { time: 1, run: "r", agent: null, actor: "uid:0", kind: "run.registered", data: {} };
  const changes = 50;
  const changeMs =
    (await timed(async () => {
      for (let number = 0; number < changes; number += 1) await log.append(change);
    })) / changes;
  // Workers write the text down; what is measured is the one process that numbers and hashes.
  const batches = Array.from({ length: DISTINCT_BATCHES }, (_, batch) =>
    Array.from({ length: BATCH }, (_, at) =>
      encodeUnnumbered(injection(batch * BATCH + at), { org: null, node: log.log }),
    ),
  );
  const before = process.cpuUsage();
  const ms = await timed(async () => {
    for (let number = 0; number < count / BATCH; number += 1) {
      log.noteEncoded(batches[number % DISTINCT_BATCHES] ?? []);
      while (!log.state.isTaking) await new Promise((resolve) => setTimeout(resolve, 1));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await log.settled();
  });
  const { user, system } = process.cpuUsage(before);
  return { ms, changeMs, cpuUs: user + system };
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await act();
  return performance.now() - began;
}

function perSecond(count: number, ms: number): number {
  return Math.round((count / ms) * 1_000);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
