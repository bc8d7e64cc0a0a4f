import { setTimeout as wait } from "node:timers/promises";
import type { SignedHead } from "@gatehouse/core";
import type { Log, SigningKey } from "@gatehouse/kit";
import { type HeadTransaction, needsHead, signOrgHead } from "./sign-org-head.ts";

/** Half of what is promised: an entry is covered within ten seconds. */
const SIGN_EVERY_MS = 5_000;

export interface HeadDeps {
  readonly store: {
    orgIds(): Promise<readonly string[]>;
    inOrg<T>(orgId: string, work: (tx: HeadTransaction) => Promise<T>): Promise<T>;
  };
  readonly key: SigningKey;
}

/** Covers each organisation's new entries by a signed head, again and again until the signal aborts. */
export async function keepHeads(deps: HeadDeps, log: Log, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await wait(SIGN_EVERY_MS, undefined, { signal });
    for (const orgId of await deps.store.orgIds().catch(() => [])) {
      await coverWhereBehind(orgId, deps).catch((error: unknown) =>
        log.error("audit head was not signed", { orgId, error }),
      );
    }
  }
}

async function coverWhereBehind(orgId: string, deps: HeadDeps): Promise<void> {
  if (await deps.store.inOrg(orgId, needsHead)) await coverOrgLog(orgId, deps);
}

/** Signs until a head covers all that stands now. `undefined`: the log is empty. Fails with `audit.tampered`. */
export async function coverOrgLog(orgId: string, { store, key }: HeadDeps): Promise<SignedHead | undefined> {
  for (;;) {
    const { head, isWhole } = await store.inOrg(orgId, (tx) => signOrgHead(tx, key));
    if (isWhole) return head;
  }
}
