import { join } from "node:path";
import { base64url, constantTimeEqual, systemRandom } from "@gatehouse/core";
import { readPrivateFile, sha256, writeFileAtomic } from "@gatehouse/kit";

const SECRET_BYTES = 32;
const NAME = "local-admin.key";

/** Who may look at this node and stop everything on it, whether a server is there or not. */
export interface LocalAdmin {
  /** Whether it is this host's credential; takes as long for every guess. */
  accepts(credential: string): boolean;
}

/**
 * The host's local-admin credential, `ghl_` and 43 characters in `local-admin.key` of the state directory, which the
 * daemon's user and root alone read. Made where there is none. Fails with `state.…`.
 */
export async function openLocalAdmin(stateDir: string): Promise<LocalAdmin> {
  const path = join(stateDir, NAME);
  const stored = (await readPrivateFile(path))?.toString().trim() ?? (await make(path));
  const expected = sha256(stored);
  return { accepts: (credential) => constantTimeEqual(sha256(credential), expected) };
}

async function make(path: string): Promise<string> {
  const credential = `ghl_${base64url(systemRandom.bytes(SECRET_BYTES))}`;
  await writeFileAtomic(path, `${credential}\n`);
  return credential;
}
