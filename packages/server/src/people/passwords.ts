import { argon2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import type { Random, Secret } from "@gatehouse/core";

/** A password as it is stored: the PHC string format of argon2. */
export type PasswordHash = string;

/** Lets so much hashing run at once and so much wait. */
export interface HashingQueue {
  run<T>(isFirst: boolean, work: () => Promise<T>): Promise<T>;
}

export interface PasswordsDeps {
  readonly random: Random;
  /** Of people who are not known yet; of browsers that are. Neither waits for the other. */
  readonly queues: Readonly<Record<"unknown" | "known", HashingQueue>>;
}

interface Parameters {
  readonly memoryKib: number;
  readonly passes: number;
  readonly lanes: number;
}

interface Hashed extends Parameters {
  readonly salt: Uint8Array;
  readonly tag: Uint8Array;
}

/** The second recommended choice of RFC 9106 §4: 64 MiB, about a tenth of a second. */
const CURRENT: Parameters = { memoryKib: 65_536, passes: 3, lanes: 4 };
const SALT_BYTES = 16;
const TAG_BYTES = 32;
const FORM = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/;

const deriveTag = promisify(argon2);

/** Hashes passwords and checks them: argon2id, on the runtime's thread pool. */
export class Passwords {
  readonly #deps: PasswordsDeps;

  constructor(deps: PasswordsDeps) {
    this.#deps = deps;
  }

  /** Fails with `server.busy`. */
  async hash(password: Secret): Promise<PasswordHash> {
    const salt = this.#deps.random.bytes(SALT_BYTES);
    const tag = await this.#deps.queues.known.run(false, () => derive(password, { ...CURRENT, salt }));
    const { memoryKib, passes, lanes } = CURRENT;
    return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$${unpadded(salt)}$${unpadded(tag)}`;
  }

  /** Whether it is the password of a hash. Where there is none the work is the same. Fails with `server.busy`. */
  async isRight(password: Secret, stored: PasswordHash | undefined, from: "unknown" | "known"): Promise<boolean> {
    const hashed = stored === undefined ? undefined : parse(stored);
    const salt = hashed?.salt ?? this.#deps.random.bytes(SALT_BYTES);
    const tag = await this.#deps.queues[from].run(false, () => derive(password, { ...(hashed ?? CURRENT), salt }));
    return timingSafeEqual(tag, hashed?.tag ?? this.#deps.random.bytes(TAG_BYTES)) && hashed !== undefined;
  }
}

/** NFKC, so that the same keys make the same password on every system (NIST SP 800-63B §3.1.1.2). */
export function normalisePassword(text: string): string {
  return text.normalize("NFKC");
}

async function derive(password: Secret, { memoryKib, passes, lanes, salt }: Omit<Hashed, "tag">): Promise<Uint8Array> {
  return await deriveTag("argon2id", {
    message: normalisePassword(password.reveal()),
    nonce: salt,
    memory: memoryKib,
    passes,
    parallelism: lanes,
    tagLength: TAG_BYTES,
  });
}

/** What this server wrote itself: anything else is a fault of the database. */
function parse(stored: PasswordHash): Hashed {
  const [, memoryKib, passes, lanes, salt = "", tag = ""] = FORM.exec(stored) ?? [];
  if (memoryKib === undefined) throw new Error("a stored password is not in the form of argon2id");
  const own = { memoryKib: Number(memoryKib), passes: Number(passes), lanes: Number(lanes) };
  return { ...own, salt: Buffer.from(salt, "base64"), tag: Buffer.from(tag, "base64") };
}

function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replace(/=+$/, "");
}
