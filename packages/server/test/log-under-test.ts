import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { isHeadLine, readHead, systemClock } from "@gatehouse/core";
import { AuditLog, readLogFrom, SegmentFolder } from "@gatehouse/kit";
import { type UploadAuditRequest, UploadAuditRequestSchema } from "@gatehouse/wire";
import { type Pair, signWith } from "./fleet-under-test.ts";

/** A node's own log on a real disk. */
export class LogUnderTest implements AsyncDisposable {
  readonly folder: string;
  readonly log: AuditLog;

  private constructor(folder: string, log: AuditLog) {
    this.folder = folder;
    this.log = log;
  }

  static async open(signer: Pair, id: string): Promise<LogUnderTest> {
    const folder = mkdtempSync(join(tmpdir(), "gatehouse-log-"));
    const key = { publicKey: signer.publicKey, sign: (bytes: Uint8Array) => signWith(signer, bytes) };
    const store = new SegmentFolder(folder);
    const own = { store, key, clock: systemClock, newLogId: () => id, onChange: () => undefined };
    return new LogUnderTest(folder, await AuditLog.open(own));
  }

  async write(count: number, kind = "request.injected"): Promise<void> {
    for (let at = 0; at < count; at += 1) {
      this.log.note([{ time: Date.now(), run: null, agent: null, actor: "node", kind, data: { at } }]);
    }
    await this.log.signHead();
  }

  async items(from: number): Promise<readonly UploadAuditRequest[]> {
    const items: UploadAuditRequest[] = [];
    for await (const line of readLogFrom(this.folder, from)) items.push(toItem(line));
    return items;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.log[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function toItem(line: string): UploadAuditRequest {
  if (!isHeadLine(line)) {
    return create(UploadAuditRequestSchema, { item: { case: "entry", value: new TextEncoder().encode(line) } });
  }
  const { size, root, time, keyId, signature } = readHead(line);
  const value = { size: BigInt(size), root, time: BigInt(time), keyId, signature };
  return create(UploadAuditRequestSchema, { item: { case: "head", value } });
}
