import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import { type NetworkPolicyInput, Problem } from "@gatehouse/core";
import { errorCode, writeFileAtomic } from "@gatehouse/kit";
import * as z from "zod";
import { CA_BUNDLE, JAVA_TRUST_STORE, SANDBOX_HOME, SANDBOX_UID } from "../sandbox/driver.ts";
import { ROOT_MOUNT } from "../sandbox/unshare.ts";
import { javaTrustStore } from "./java-trust-store.ts";

const recordSchema = z.strictObject({
  runId: z.string(),
  keeper: z.string(),
  driver: z.enum(["bubblewrap", "unshare", "process"]),
  agent: z.string().optional(),
  project: z.string().optional(),
  command: z.array(z.string()),
  workspace: z.string(),
  /** It was made for this run and goes with it. */
  ownsWorkspace: z.boolean().optional(),
  grants: z.array(z.string()),
  isDetached: z.boolean(),
  createdAt: z.number(),
  state: z.enum(["starting", "running", "exited"]),
  endedAt: z.number().optional(),
  code: z.number().optional(),
  /** Why it ended, where the command never ran. */
  failure: z.string().optional(),
});

/** What the daemon knows of a run; nothing in it is secret. */
export type RunRecord = Readonly<z.infer<typeof recordSchema>>;

const endSchema = z.object({ code: z.number().int().min(0).max(255), why: z.string().max(2_000).optional() });

/** How a run ended; `why` where it was not its command that did. */
export type RunEnd = Readonly<z.infer<typeof endSchema>>;

/** Reads what a keeper says of the end. Fails with `api.malformed`. */
export function parseRunEnd(body: unknown): RunEnd {
  const parsed = endSchema.safeParse(body);
  if (!parsed.success) throw new Problem("api.malformed", { detail: "code is missing." });
  return parsed.data;
}

/**
 * Name of a run's directory and of its keeper's socket, never text from outside. 64 bits, so that a socket's path fits
 * below a long state directory. Two ids of one name can be looked for, in some four thousand million hashes, by whoever
 * chooses ids: the second run would take the first one's socket and directory, so that it is refused.
 */
export function keeperOf(runId: string): string {
  return createHash("sha256").update(runId).digest("hex").slice(0, 16);
}

const RECORD = "run.json";
const POLICY = "policy.json";
/** There for a run that a command of the server started. */
const COMMANDED = "commanded";
const PASSWD = `root:x:0:0:root:/:/usr/sbin/nologin
agent:x:${SANDBOX_UID}:${SANDBOX_UID}:agent:${SANDBOX_HOME}:/bin/sh
nobody:x:65534:65534:nobody:/:/usr/sbin/nologin
`;
const GROUP = `root:x:0:\nagent:x:${SANDBOX_UID}:\nnogroup:x:65534:\n`;
const HOSTS = "127.0.0.1 localhost sandbox\n::1 localhost\n";
const NSSWITCH = "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n";

/** The runs' directories: `runs/<keeper>/` with `run.json`, what a sandbox is made of, and its output. */
export class RunFiles {
  readonly #folder: string;

  constructor(stateDir: string) {
    this.#folder = join(stateDir, "runs");
  }

  directory(keeper: string): string {
    return join(this.#folder, keeper);
  }

  /** Makes the directory with the run's record: from here on it is known, whatever happens to the daemon. */
  async create(
    record: RunRecord,
    { policy, isCommanded }: { readonly policy: NetworkPolicyInput; readonly isCommanded: boolean },
  ): Promise<void> {
    const directory = this.directory(record.keeper);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // Files of their own: a release that does not know them goes on reading the record.
    await writeFileAtomic(join(directory, POLICY), JSON.stringify(policy));
    if (isCommanded) await writeFileAtomic(join(directory, COMMANDED), "");
    await this.write(record);
  }

  /** The policy that a run was started with; `undefined` when it left none. */
  async policy(keeper: string): Promise<unknown> {
    try {
      return JSON.parse(await readFile(join(this.directory(keeper), POLICY), "utf8"));
    } catch {
      return undefined;
    }
  }

  /** Whether a command of the server started the run. */
  isCommanded(keeper: string): boolean {
    return existsSync(join(this.directory(keeper), COMMANDED));
  }

  /** Whether the run has a directory here, and no record. */
  isNameless(keeper: string): boolean {
    const directory = this.directory(keeper);
    return existsSync(directory) && !existsSync(join(directory, RECORD));
  }

  /** Makes the files that the sandbox reads. */
  async prepare(keeper: string, caCertificatePem: string): Promise<string> {
    const directory = this.directory(keeper);
    await mkdir(join(directory, ROOT_MOUNT), { recursive: true, mode: 0o700 });
    const authorities = [...trustedRoots(), caCertificatePem];
    const files: Readonly<Record<string, string | Buffer>> = {
      passwd: PASSWD,
      group: GROUP,
      hosts: HOSTS,
      "nsswitch.conf": NSSWITCH,
      "resolv.conf": "# Names are resolved by the gate.\n",
      [CA_BUNDLE]: authorities.map((pem) => pem.trimEnd()).join("\n"),
      [JAVA_TRUST_STORE]: javaTrustStore(authorities),
    };
    await Promise.all(
      // Inside, another user id reads them.
      Object.entries(files).map(([name, content]) => writeFileAtomic(join(directory, name), content, { mode: 0o644 })),
    );
    return directory;
  }

  async write(record: RunRecord): Promise<void> {
    await writeFileAtomic(join(this.directory(record.keeper), RECORD), JSON.stringify(record));
  }

  async remove(keeper: string): Promise<void> {
    // A keeper may be writing its last word there.
    await rm(this.directory(keeper), { recursive: true, force: true, maxRetries: 3 });
  }

  /**
   * Every run that left a readable record, and the names of the directories that hold none. Fails with `state.corrupt`
   * when the disk does not read one out: that is no reason to take it for damaged.
   */
  async list(): Promise<{ readonly records: readonly RunRecord[]; readonly unreadable: readonly string[] }> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const records: RunRecord[] = [];
    const unreadable: string[] = [];
    for (const keeper of await readdir(this.#folder)) {
      const record = await this.#read(keeper);
      if (record === undefined) unreadable.push(keeper);
      else records.push(record);
    }
    return { records, unreadable };
  }

  /** How a run ended whose keeper found no daemon to tell. */
  async end(keeper: string): Promise<RunEnd | undefined> {
    try {
      return parseRunEnd(JSON.parse(await readFile(join(this.directory(keeper), "exit.json"), "utf8")));
    } catch {
      return undefined;
    }
  }

  async #read(keeper: string): Promise<RunRecord | undefined> {
    const path = join(this.directory(keeper), RECORD);
    const text = await readFile(path, "utf8").catch((cause: unknown) => {
      if (errorCode(cause) === "ENOENT") return "";
      throw new Problem("state.corrupt", { detail: `${path}: ${errorCode(cause)}.`, cause });
    });
    try {
      return recordSchema.parse(JSON.parse(text));
    } catch {
      return undefined;
    }
  }
}

function trustedRoots(): readonly string[] {
  try {
    const system = getCACertificates("system");
    return system.length > 0 ? system : getCACertificates("bundled");
  } catch {
    return getCACertificates("bundled");
  }
}
