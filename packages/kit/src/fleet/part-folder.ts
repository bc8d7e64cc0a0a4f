import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { base64url, fromHex, toHex } from "@gatehouse/core";
import { readPrivateFile, removeFile } from "../files/private-file.ts";
import { writeFileAtomic } from "../files/write-file-atomic.ts";
import { sha256 } from "../keys/sha256.ts";
import type { BundleParts } from "./verify-bundle.ts";

const NAME = /^([0-9a-f]{64})\.json$/;

/** Parts of bundles on disk, each in a file that is named by what it hashes to. */
export class PartFolder {
  readonly #path: string;

  constructor(stateDir: string) {
    this.#path = join(stateDir, "fleet", "parts");
  }

  /** The parts that are there and whole, by their hash in base64url. */
  async held(): Promise<BundleParts> {
    const parts = new Map<string, Uint8Array>();
    for (const name of await this.#names()) {
      const hash = fromHex(NAME.exec(name)?.[1] ?? "");
      const bytes = hash === undefined ? undefined : await readPrivateFile(join(this.#path, name));
      if (hash !== undefined && bytes !== undefined && Buffer.compare(sha256(bytes), hash) === 0) {
        parts.set(base64url(hash), bytes);
      }
    }
    return parts;
  }

  /** Writes a part down: durable when it returns. */
  async keep(content: Uint8Array): Promise<void> {
    await mkdir(this.#path, { recursive: true, mode: 0o700 });
    await writeFileAtomic(join(this.#path, `${toHex(sha256(content))}.json`), content);
  }

  /** Forgets the parts that no manifest names any more. */
  async prune(wanted: ReadonlySet<string>): Promise<void> {
    for (const name of await this.#names()) {
      const hash = fromHex(NAME.exec(name)?.[1] ?? "");
      if (hash === undefined || !wanted.has(base64url(hash))) await removeFile(join(this.#path, name));
    }
  }

  async #names(): Promise<readonly string[]> {
    await mkdir(this.#path, { recursive: true, mode: 0o700 });
    return readdir(this.#path);
  }
}
