import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  base64url,
  bundleTuple,
  type CredentialBinding,
  freshnessTuple,
  keySetTuple,
  makeUuid,
  type Roster,
  resealTuple,
  revocationTuple,
  rosterTuple,
  Secret,
  systemRandom,
} from "@gatehouse/core";
import {
  type BundlePart,
  credentialPart,
  describeKeySet,
  describeRoster,
  type FleetCredential,
  grantPart,
  PartFolder,
  projectJwe,
  rosterPart,
  type SignedBundle,
  type SignedFreshness,
  type SignedRevocation,
  type SignedRoster,
  sealCredential,
  sha256,
  withJoin,
  writeManifest,
} from "@gatehouse/kit";
import { type NodeKey, openNodeKey } from "../../src/credentials/node-key.ts";
import { loadTemplates } from "../../src/credentials/templates.ts";
import { FleetVault } from "../../src/fleet/fleet-vault.ts";

export interface Pair {
  readonly publicKey: Uint8Array;
  readonly privateKey: KeyObject;
  sign(message: Uint8Array): Uint8Array;
}

export function makePair(curve: "ed25519" | "x25519"): Pair {
  const pair = curve === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("x25519");
  const { x = "" } = pair.publicKey.export({ format: "jwk" });
  const { privateKey } = pair;
  const publicKey = new Uint8Array(Buffer.from(x, "base64url"));
  return { publicKey, privateKey, sign: (message) => new Uint8Array(sign(null, message, privateKey)) };
}

export const VALUE = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
export const BINDINGS: readonly CredentialBinding[] = [
  { hosts: ["api.example.com"], header: "authorization", format: "Bearer {value}" },
];

interface SealOptions {
  readonly id?: string;
  readonly version?: number;
  readonly signer?: Pair;
  readonly recipient?: Uint8Array;
  readonly bindings?: readonly CredentialBinding[];
}

interface RosterOptions {
  readonly signer?: Pair;
  readonly operators?: readonly Pair[];
  /** Encryption keys of further nodes. */
  readonly others?: readonly Uint8Array[];
}

interface SignedState {
  readonly generation?: number;
  readonly nodeId?: string;
  readonly epoch?: number;
  readonly by?: Pair;
}

/** An organisation and one of its nodes, at a server that holds every serving key and answers as it likes. */
export class HostileServer implements AsyncDisposable {
  readonly directory: string;
  readonly orgId = makeUuid(1, systemRandom);
  readonly nodeId = makeUuid(2, systemRandom);
  readonly orgKey = makePair("ed25519");
  readonly operator = makePair("ed25519");
  readonly identity = makePair("ed25519");
  readonly bundleKey = makePair("ed25519");
  readonly stranger = makePair("ed25519");
  readonly nodeKey: Uint8Array;
  /** How often the node's private key was used. */
  opened = 0;
  readonly #key: NodeKey;
  #generation = 0;

  private constructor(directory: string, key: NodeKey, publicKey: Uint8Array) {
    this.directory = directory;
    this.#key = key;
    this.nodeKey = publicKey;
  }

  /** Of a node in a state directory of its own, unless it is given one. */
  static async open(given?: string): Promise<HostileServer> {
    const directory = given ?? (await mkdtemp(join(tmpdir(), "gatehouse-hostile-")));
    const key = await openNodeKey(directory);
    const raw = new Uint8Array(await crypto.subtle.exportKey("raw", key.publicKey));
    const server = new HostileServer(directory, key, raw);
    await mkdir(join(directory, "fleet"), { mode: 0o700 });
    await server.remember({});
    return server;
  }

  /** What the node's daemon wrote down of its server, with something else learned since. */
  async remember(learned: object): Promise<void> {
    const text = JSON.stringify({ ...this.#nodeFile(), ...learned });
    await writeFile(join(this.directory, "node.json"), text, { mode: 0o600 });
  }

  /** The node's vault, whose every use of the private key is counted. */
  async openVault(): Promise<FleetVault> {
    const real = this.#key;
    const count = () => {
      this.opened += 1;
      return real.privateKey;
    };
    const key: NodeKey = Object.defineProperty({ ...real }, "privateKey", { get: count });
    return FleetVault.open({ stateDir: this.directory, key, templates: await loadTemplates() });
  }

  get keySet() {
    return this.keySetOf(1, this.bundleKey);
  }

  keySetOf(epoch: number, bundleKey: Pair) {
    const keys = [{ use: "bundle" as const, id: "b", key: bundleKey.publicKey }];
    const keySet = { epoch, issuedAt: epoch, keys };
    return describeKeySet(keySet, this.identity.sign(keySetTuple(this.identity.publicKey, keySet)));
  }

  roster(version: number, { signer = this.orgKey, operators = [this.operator], others = [] }: RosterOptions = {}) {
    const own = { identityKey: new Uint8Array(32), caKey: new Uint8Array(91) };
    const nodes = [this.nodeKey, ...others].map((encryptionKey, at) => {
      return { ...own, nodeId: at === 0 ? this.nodeId : makeUuid(at + 2, systemRandom), encryptionKey };
    });
    const operatorKeys = operators.map(({ publicKey }) => publicKey);
    const roster: Roster = { orgId: this.orgId, version, issuedAt: version, nodes, operatorKeys };
    return this.#sign(roster, signer);
  }

  /** A roster that joins the first two; no node is on it but this one. */
  join([one = this.roster(1), other = one]: readonly SignedRoster[], signer = this.orgKey): SignedRoster {
    return this.#sign(withJoin({ ...one, issuedAt: 9 }, one, other), signer);
  }

  after(roster: SignedRoster): SignedRoster {
    return this.#sign({ ...roster, version: roster.version + 1 }, this.orgKey);
  }

  #sign(roster: Roster, signer: Pair): SignedRoster {
    return { ...roster, signer: signer.publicKey, signature: signer.sign(rosterTuple(roster)) };
  }

  /** An order to seal a credential onward, by whoever and for whomever. */
  reseal(
    credentialId: string,
    keys: readonly Uint8Array[],
    { signer = this.operator, notAfter = 2_000, holder = this.nodeKey, version = 1 } = {},
  ) {
    const order = { credentialId, version, recipients: [holder, ...keys], notAfter };
    const signature = signer.sign(resealTuple({ ...order, orgId: this.orgId }));
    return { ...order, signer: signer.publicKey, signature };
  }

  /** A credential as an operator seals it to this node, unless something is said otherwise. */
  async seal(name: string, options: SealOptions = {}): Promise<FleetCredential> {
    const { id = makeUuid(Date.now(), systemRandom), version = 1, signer = this.operator } = options;
    const { recipient = this.nodeKey, bindings = BINDINGS } = options;
    const own = { credentialId: id, name, version, kind: "static", bindings };
    const recipients = [recipient, makePair("x25519").publicKey];
    const bound = { ...own, orgId: this.orgId, endpoints: [] };
    const sealed = await sealCredential(bound, new Secret(VALUE), { recipients, signer });
    return { ...own, ...sealed, jwe: projectJwe(sealed.jwe, recipient) ?? "" };
  }

  /** The parts of an honest bundle. */
  parts(credentials: readonly FleetCredential[], roster = this.roster(1)): readonly BundlePart[] {
    const grants = credentials.map((one) => grantPart(one, one.version));
    return [rosterPart(describeRoster(roster)), ...credentials.map(credentialPart), ...grants];
  }

  /** Signs whatever parts as the node's next desired state, and puts them where the node's daemon does. */
  async bundle(parts: readonly BundlePart[], { generation = this.#generation + 1, ...state }: SignedState = {}) {
    this.#generation = Math.max(generation, this.#generation);
    const encoder = new TextEncoder();
    const folder = new PartFolder(this.directory);
    for (const { content } of parts) await folder.keep(encoder.encode(content));
    const entries = parts.map(({ kind, id, version, content }) => {
      return { kind, id, version, sha256: base64url(sha256(content)) };
    });
    return this.sign(writeManifest(entries), generation, state);
  }

  sign(
    manifest: string,
    generation: number,
    { nodeId = this.nodeId, epoch = 1, by = this.bundleKey }: SignedState = {},
  ) {
    const state = { orgId: this.orgId, nodeId, epoch, generation };
    const signature = by.sign(bundleTuple(state, 5, sha256(manifest)));
    return { epoch, generation, issuedAt: 5, manifest, keyId: "b", signature } satisfies SignedBundle;
  }

  /** Its word that a generation was the newest at that time. */
  word(serverTime: number, { epoch = 1, generation = 1, by = this.bundleKey } = {}): SignedFreshness {
    const state = { orgId: this.orgId, nodeId: this.nodeId, epoch, generation };
    return { epoch, generation, serverTime, keyId: "b", signature: by.sign(freshnessTuple(state, serverTime)) };
  }

  revocation(ids: readonly string[], generation: number, epoch = 1): SignedRevocation {
    const state = { orgId: this.orgId, nodeId: this.nodeId, epoch, generation };
    return { epoch, generation, ids, keyId: "b", signature: this.bundleKey.sign(revocationTuple(state, ids)) };
  }

  #nodeFile() {
    return {
      org_id: this.orgId,
      node_id: this.nodeId,
      org_key: base64url(this.orgKey.publicKey),
      server_identity_key: base64url(this.identity.publicKey),
      key_set: this.keySet,
      roster: describeRoster(this.roster(1)),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
