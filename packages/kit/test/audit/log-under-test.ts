import { cp, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AuditEvent, systemClock } from "@gatehouse/core";
import {
  AuditLog,
  type AuditLogOptions,
  type AuditState,
  openSigningKey,
  SegmentFolder,
  type SegmentStore,
  type SigningKey,
} from "../../src/index.ts";

export const LOG_ID = "0197a000-0000-7000-8000-000000000001";

/** A directory in which logs are opened one after the other. */
export interface LogPlace extends AsyncDisposable {
  readonly directory: string;
  /** The log's own. */
  readonly folder: string;
  readonly key: SigningKey;
  readonly states: readonly AuditState[];
  file(name: string): string;
  open(options?: Partial<AuditLogOptions>): Promise<AuditLog>;
  /** Keeps the files as they are now; the returned call brings them back, as if all that came after never ran. */
  crash(): Promise<() => Promise<void>>;
}

export async function openLogPlace(): Promise<LogPlace> {
  const directory = await mkdtemp(join(tmpdir(), "gatehouse-audit-"));
  const folder = join(directory, "audit");
  await mkdir(folder, { mode: 0o700 });
  const key = await openSigningKey(join(directory, "identity.key"));
  const states: AuditState[] = [];
  return {
    directory,
    folder,
    key,
    states,
    file: (name) => join(folder, name),
    open: async (options) => {
      const store = options?.store ?? (await SegmentFolder.open(folder));
      const onChange = (state: AuditState) => states.push(state);
      return AuditLog.open({ key, clock: systemClock, newLogId: () => LOG_ID, onChange, ...options, store });
    },
    crash: async () => {
      const held = join(directory, "held");
      await cp(folder, held, { recursive: true });
      return async () => {
        await rm(folder, { recursive: true });
        await rename(held, folder);
      };
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

/** An event that tells itself apart by its number. */
export function event(number: number, fields: Partial<AuditEvent> = {}): AuditEvent {
  const data = { number, grants: ["github", "npm"], rule: null, url: `https://api.example.test/${number}` };
  return {
    time: 1_750_000_000_000 + number,
    run: `run-${number}`,
    agent: "project.agent",
    actor: "run",
    kind: "request.injected",
    data,
    ...fields,
  };
}

/** A folder whose disk can be broken: writes fail, or wait, until told otherwise. */
export class BreakableStore implements SegmentStore {
  readonly #inner: SegmentFolder;
  fault: NodeJS.ErrnoException | undefined;
  gate: Promise<void> = Promise.resolve();
  writes = 0;

  constructor(folder: string) {
    this.#inner = new SegmentFolder(folder);
  }

  list() {
    return this.#inner.list();
  }

  read(first: number) {
    return this.#inner.read(first);
  }

  [Symbol.asyncDispose]() {
    return this.#inner[Symbol.asyncDispose]();
  }

  async write(first: number, offset: number, data: Buffer) {
    this.writes += 1;
    await this.gate;
    if (this.fault === undefined) return this.#inner.write(first, offset, data);
    // What a full disk does: part of it stands.
    await this.#inner.write(first, offset, data.subarray(0, data.length >> 1));
    throw this.fault;
  }

  setAside(first: number, offset: number) {
    return this.#inner.setAside(first, offset);
  }

  readHead() {
    return this.#inner.readHead();
  }

  writeHead(text: string) {
    return this.#inner.writeHead(text);
  }
}

export function noSpace(): NodeJS.ErrnoException {
  return Object.assign(new Error("no space"), { code: "ENOSPC" });
}
