import { generateKeyPairSync } from "node:crypto";
import { type Clock, Lifetime, type Random } from "@gatehouse/core";
import { type Log, mintServerLeaf, openHealth, sha256 } from "@gatehouse/kit";
import { createMessageCheck } from "@gatehouse/wire";
import { keepHeads } from "./audit/keep-heads.ts";
import type { Bus } from "./bus/bus.ts";
import { openLocalBus } from "./bus/local-bus.ts";
import { openPostgresBus } from "./bus/postgres-bus.ts";
import { checkClaim, claimDatabase } from "./keys/claim-database.ts";
import { openServerKeys, type ServerKeys, spkiOf } from "./keys/server-keys.ts";
import { makeFirstSetupCode } from "./orgs/setup-codes.ts";
import { type OidcConfig, openSignIn } from "./people/open-sign-in.ts";
import { forgetReports } from "./reports/forget-reports.ts";
import { handleRequests } from "./rpc/handle-requests.ts";
import { openListener } from "./rpc/open-listener.ts";
import { NodeStreams } from "./rpc/streams/node-streams.ts";
import { openStore, type StoreLocation } from "./store/open-store.ts";
import { sweepForever } from "./sweep.ts";

export interface ServerConfig {
  /** The server's part of the state directory: keys, and the embedded database. */
  readonly directory: string;
  /** Where the first set-up code is written. */
  readonly setupCodeFile: string;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** `https://name:port` in signatures and proofs; absent: what is listened on. */
  readonly url: string | undefined;
  readonly store: StoreLocation;
  /** Where people sign in; absent: nowhere. */
  readonly oidc: OidcConfig | undefined;
}

export interface ServerDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
}

/** The control plane. Disposing stops accepting, ends streams, closes the store. */
export interface Server extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
}

const LEAF_TTL_MS = 7 * 86_400_000;

/** Opens keys, store and port, in this order; ready when it returns. Fails with `state.…`, `store.…`, `config.…`. */
export async function openServer(config: ServerConfig, { log, clock, random }: ServerDeps): Promise<Server> {
  const life = new Lifetime();
  try {
    const now = () => clock.now();
    const keys = await openServerKeys(config.directory, { now, randomBytes: (length) => random.bytes(length) });
    const store = life.own(await openStore(config.store, clock));
    await claimDatabase(store, keys);
    const bus = life.own(await openBus(config.store, log));
    await makeFirstSetupCode(config.setupCodeFile, { store, random, serverIdentityKey: keys.identityKey });
    const leaf = await mintLeaf(keys, hostOf(config));
    const listener = life.own(await openListener({ host: config.host, port: config.port, ...leaf }));
    const origin = config.url ?? `https://${hostInUrl(config.host)}:${listener.port}`;
    const streams = life.own(new NodeStreams(bus));
    const health = openHealth({
      probes: [
        { name: "store", check: () => store.probe() },
        { name: "keys", check: () => checkClaim(store, keys) },
      ],
    });
    listener.serve(
      handleRequests(
        { store, keys, bus, clock, random, log, origin, streams, check: createMessageCheck() },
        {
          tlsSpkiSha256: sha256(spkiOf(leaf.certificatePem)),
          health: () => health.report(),
          signIn: openSignIn(config.oidc, origin),
          signal: life.signal,
        },
      ),
    );
    life.run((signal) => sweepForever({ store, bus, log }, signal));
    life.run((signal) => forgetReports({ store, log }, signal));
    life.run((signal) => keepHeads({ store, key: keys.working.audit.key }, log, signal));
    health.setReady();
    return {
      url: origin,
      port: listener.port,
      [Symbol.asyncDispose]: async () => {
        await streams.drain();
        await life[Symbol.asyncDispose]();
      },
    };
  } catch (failure) {
    await life[Symbol.asyncDispose]();
    throw failure;
  }
}

/** Replicas that share a database hear of one another by it. */
function openBus(store: StoreLocation, log: Log): Promise<Bus> | Bus {
  return store.kind === "postgres" ? openPostgresBus(store.url, log) : openLocalBus();
}

async function mintLeaf({ tlsCa }: ServerKeys, name: string) {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const certificatePem = await mintServerLeaf({ ca: tlsCa, name, publicKey: spki, ttlMs: LEAF_TTL_MS });
  return { certificatePem, privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
}

/** The name that nodes ask for. */
function hostOf({ url, host }: ServerConfig): string {
  return url === undefined ? host : new URL(url).hostname.replace(/^\[|\]$/g, "");
}

function hostInUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
