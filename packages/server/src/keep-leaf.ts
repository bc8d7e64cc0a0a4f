import { generateKeyPairSync } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { type CertificateAuthority, type Log, mintServerLeaf } from "@gatehouse/kit";
import type { Listener, ListenerLeaf } from "./rpc/open-listener.ts";

/** Makes certificates over one key that lives as long as the process: answers to whoever connected before name it. */
export type MintLeaf = () => Promise<ListenerLeaf>;

export interface LeafOptions {
  readonly ca: CertificateAuthority;
  /** The name or address that nodes ask for. */
  readonly name: string;
  readonly ttlMs: number;
}

const RETRY_MS = 60_000;

export function leafMint({ ca, name, ttlMs }: LeafOptions): MintLeaf {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const privateKeyPem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return async () => ({ certificatePem: await mintServerLeaf({ ca, name, publicKey: spki, ttlMs }), privateKeyPem });
}

export interface KeepLeafDeps {
  readonly mint: MintLeaf;
  readonly listener: Pick<Listener, "renew">;
  readonly ttlMs: number;
  readonly log: Log;
}

/** Renews the port's certificate at two thirds of its life, until the signal aborts. */
export async function keepLeaf({ mint, listener, ttlMs, log }: KeepLeafDeps, signal: AbortSignal): Promise<void> {
  for (let waitMs = (ttlMs * 2) / 3; !signal.aborted; ) {
    await wait(waitMs, undefined, { signal });
    try {
      listener.renew(await mint());
      waitMs = (ttlMs * 2) / 3;
    } catch (error) {
      log.error("TLS certificate could not be renewed", { error });
      waitMs = RETRY_MS;
    }
  }
}
