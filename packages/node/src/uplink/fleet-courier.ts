import type { Client } from "@connectrpc/connect";
import { base64url, fromBase64url, Problem } from "@gatehouse/core";
import type { GateCalls } from "@gatehouse/gate";
import { PartFolder, readManifest, type SignedBundle, sha256, toServerProblem } from "@gatehouse/kit";
import type {
  FetchBundleResponse,
  Freshness,
  NodeGatewayService,
  Reseal,
  Revocation,
  SignedManifest,
} from "@gatehouse/wire";
import { KeptRevocations } from "./kept-revocations.ts";
import { NodeFiles } from "./node-files.ts";
import { PartAssembly } from "./part-assembly.ts";

/** The gate's key-holder, as far as a courier needs it. */
export interface FleetGate {
  call<M extends "applyBundle" | "revokeCredentials" | "resealCredential" | "hearFreshness" | "fleetStatus">(
    method: M,
    params: GateCalls[M]["params"],
  ): Promise<GateCalls[M]["result"]>;
}

export type FleetStatus = GateCalls["fleetStatus"]["result"];

const MAX_PARTS = 20_000;

/**
 * Carries what the server says to the key-holder, which alone decides what of it counts. A word that the key-holder
 * refuses is the server's fault or somebody's on the way: the caller logs it and goes on with what is served.
 */
export class FleetCourier {
  readonly #stateDir: string;
  readonly #gate: FleetGate;
  readonly #parts: PartFolder;
  readonly #kept: KeptRevocations;

  constructor(stateDir: string, gate: FleetGate) {
    this.#stateDir = stateDir;
    this.#gate = gate;
    this.#parts = new PartFolder(stateDir);
    this.#kept = new KeptRevocations(stateDir);
  }

  /** Fetches the desired state, the parts that are missing alone, and has it served. Fails as `applyBundle` does. */
  async refresh(
    gateway: Pick<Client<typeof NodeGatewayService>, "fetchBundle">,
    signal?: AbortSignal,
  ): Promise<FleetStatus> {
    const held = await this.#parts.held();
    const hashes = [...held.keys()].slice(0, MAX_PARTS).flatMap((hash) => fromBase64url(hash) ?? []);
    const answer = gateway.fetchBundle({ held: hashes, takesChunks: true }, signal === undefined ? {} : { signal });
    const signed = await this.#receive(answer, new Set(held.keys()));
    const status = await this.#gate.call("applyBundle", signed);
    await this.#remember(status);
    return status;
  }

  /** Has what was taken back let go of: durable when it returns. */
  async revoke(revocation: Revocation): Promise<void> {
    const { epoch, generation, ids, keyId, signature } = revocation;
    const counted = { epoch: Number(epoch), generation: Number(generation) };
    await this.#gate.call("revokeCredentials", { ...counted, ids, keyId, signature });
    // After the key-holder found it signed; killed in between, the server says it again.
    const keySet = (await new NodeFiles(this.#stateDir).enrolled())?.key_set;
    if (keySet?.epoch === counted.epoch) await this.#kept.keep(revocation, keySet);
  }

  async hear({ epoch, generation, serverTime, keyId, signature }: Freshness): Promise<void> {
    const counted = { epoch: Number(epoch), generation: Number(generation), serverTime: Number(serverTime) };
    await this.#gate.call("hearFreshness", { ...counted, keyId, signature });
  }

  /** The parts of a credential for further nodes, when the key-holder follows the order. Fails as `resealCredential` does. */
  reseal({ credentialId, recipients, signer, signature, ...counted }: Reseal, nowMs: number): Promise<string> {
    const [version, notAfter] = [Number(counted.version), Number(counted.notAfter)];
    const order = { credentialId, version, recipients, notAfter, signer, signature };
    return this.#gate.call("resealCredential", { order, nowMs });
  }

  /** What the key-holder serves. */
  status(): Promise<FleetStatus> {
    return this.#gate.call("fleetStatus", null);
  }

  async #receive(answer: AsyncIterable<FetchBundleResponse>, held: ReadonlySet<string>): Promise<SignedBundle> {
    let signed: SignedBundle | undefined;
    const assembly = new PartAssembly();
    try {
      let wanted: ReadonlySet<string> = new Set();
      for await (const { item } of answer) {
        if (item.case === "manifest" && signed === undefined) {
          signed = readSigned(item.value);
          wanted = new Set(readManifest(signed.manifest).map((entry) => entry.sha256));
          continue;
        }
        const part = item.case === "chunk" ? assembly.take(item.value, wanted) : partOf(item);
        if (part !== undefined) await this.#keep(part, { wanted, held });
      }
      assembly.end();
    } catch (failure) {
      throw toServerProblem(failure);
    }
    if (signed === undefined) throw new Problem("bundle.refused", { detail: "The server sent no manifest." });
    return signed;
  }

  /** What the manifest does not name is not written: a stream has no end. */
  async #keep(content: Uint8Array, { wanted, held }: Readonly<Record<"wanted" | "held", ReadonlySet<string>>>) {
    const hash = base64url(sha256(content));
    if (!wanted.has(hash)) throw new Problem("bundle.refused", { detail: "The server sent what was not asked for." });
    if (!held.has(hash)) await this.#parts.keep(content);
  }

  /** The newest key set and roster are what the next connection is checked against. */
  async #remember({ keySet, roster }: FleetStatus): Promise<void> {
    const files = new NodeFiles(this.#stateDir);
    const node = await files.enrolled();
    if (node === undefined || keySet === undefined || roster === undefined) return;
    const isKnown = node.key_set.epoch >= keySet.epoch && node.roster.version >= roster.version;
    if (!isKnown) await files.learn(node, { keySet, roster });
  }
}

function partOf(item: FetchBundleResponse["item"]): Uint8Array | undefined {
  return item.case === "part" ? item.value.content : undefined;
}

function readSigned({ epoch, generation, issuedAt, manifest, keyId, signature }: SignedManifest): SignedBundle {
  const counted = { epoch: Number(epoch), generation: Number(generation), issuedAt: Number(issuedAt) };
  return { ...counted, keyId, signature, manifest: new TextDecoder().decode(manifest) };
}
