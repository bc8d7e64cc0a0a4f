import { formatCode, type Random } from "@gatehouse/core";
import { setupPin, sha256, writeFileAtomic } from "@gatehouse/kit";

export interface SetupCodeDeps {
  readonly store: {
    hasSetupCodes(): Promise<boolean>;
    addSetupCode(secretSha256: Uint8Array): Promise<void>;
  };
  readonly random: Random;
  readonly serverIdentityKey: Uint8Array;
}

const SECRET_BYTES = 32;

/** Makes a code that may make one organisation. `keep` has it before its hash is stored: a crash loses no code. */
export async function makeSetupCode(
  { store, random, serverIdentityKey }: SetupCodeDeps,
  keep: (code: string) => Promise<void>,
): Promise<void> {
  const secret = random.bytes(SECRET_BYTES);
  await keep(formatCode("ghs", { secret, pin: setupPin(serverIdentityKey) }));
  await store.addSetupCode(sha256(secret));
}

/** At the first start of an installation: writes a code to a file of mode 0600 for whoever sets it up. */
export async function makeFirstSetupCode(path: string, deps: SetupCodeDeps): Promise<void> {
  if (await deps.store.hasSetupCodes()) return;
  await makeSetupCode(deps, (code) => writeFileAtomic(path, `${code}\n`));
}
