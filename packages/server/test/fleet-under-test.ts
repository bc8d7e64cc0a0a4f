import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  base64url,
  type Clock,
  enrollmentTuple,
  formatFingerprint,
  handshakeTuple,
  newOrgTuple,
  parseCode,
  type RosterNode,
  rosterTuple,
  systemRandom,
} from "@gatehouse/core";
import { checkKeySet, createLog, type LogLevel } from "@gatehouse/kit";
import {
  CredentialAdminService,
  NodeAdminService,
  NodeGatewayService,
  OrgAdminService,
  PolicyAdminService,
} from "@gatehouse/wire";
import { CompactSign } from "jose";
import { type OidcConfig, openServer, type Server, type StoreLocation } from "../src/index.ts";

/** How long a server under test keeps things. */
export const RETENTION = { telemetryDays: 7, eventsDays: 30, commandsDays: 30 } as const;

/** Time that a test moves. */
export class TestClock implements Clock {
  readonly #startedAt = Date.now();
  #advancedMs = 0;
  now = () => this.#startedAt + this.#advancedMs;
  monotonicMs = () => performance.now() + this.#advancedMs;
  advance(ms: number): void {
    this.#advancedMs += ms;
  }
}

interface AskedServer {
  readonly origin: string;
  readonly serverIdentityKey: Uint8Array;
}

/** A key pair with raw public bytes. */
export interface Pair {
  readonly publicKey: Uint8Array;
  readonly privateKey: KeyObject;
}

export function makePair(curve: "ed25519" | "x25519"): Pair {
  const pair = curve === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("x25519");
  const { x = "" } = pair.publicKey.export({ format: "jwk" });
  return { publicKey: new Uint8Array(Buffer.from(x, "base64url")), privateKey: pair.privateKey };
}

export function signWith(pair: Pair, message: Uint8Array): Uint8Array {
  return new Uint8Array(sign(null, message, pair.privateKey));
}

export function hash(...parts: readonly (Uint8Array | string)[]): Uint8Array {
  const made = createHash("sha256");
  for (const part of parts) made.update(part);
  return new Uint8Array(made.digest());
}

export interface OpenOptions {
  /** Of a server that was there before. */
  readonly directory?: string;
  /** By which it is known; default: where it listens. */
  readonly url?: string;
  readonly oidc?: OidcConfig;
  /** Default: all of it. */
  readonly level?: LogLevel;
  /** Whether people sign in by a password. */
  readonly hasPasswords?: boolean;
}

type ReachedServer = Pick<Server, "url" | "port"> & AsyncDisposable;

/** A server with its lines of log, its clock, and clients that speak to it. */
export class FleetUnderTest implements AsyncDisposable {
  readonly server: ReachedServer;
  readonly clock: TestClock;
  readonly lines: string[];
  readonly directory: string;
  readonly transport: Transport;
  readonly gateway: Client<typeof NodeGatewayService>;
  readonly serverKey: Uint8Array;

  private constructor(parts: { server: ReachedServer; clock: TestClock; lines: string[]; directory: string }) {
    ({ server: this.server, clock: this.clock, lines: this.lines, directory: this.directory } = parts);
    this.transport = transportTo(`https://127.0.0.1:${this.server.port}`);
    this.gateway = createClient(NodeGatewayService, this.transport);
    const jwk = JSON.parse(readFileSync(join(this.directory, "identity.key"), "utf8"));
    this.serverKey = new Uint8Array(Buffer.from(jwk.x, "base64url"));
  }

  static async open(store: StoreLocation, options: OpenOptions = {}): Promise<FleetUnderTest> {
    const { directory = mkdtempSync(join(tmpdir(), "gatehouse-server-")), oidc, hasPasswords = false } = options;
    const clock = new TestClock();
    const lines: string[] = [];
    const log = createLog({
      level: options.level ?? "debug",
      format: "json",
      write: (line: string) => void lines.push(line),
    });
    const config = {
      directory,
      setupCodeFile: join(directory, "setup-code"),
      host: "127.0.0.1",
      port: 0,
      url: options.url,
      store,
      oidc,
      hasPasswords,
      retention: RETENTION,
    };
    const server = await openServer(config, { log, clock, random: systemRandom });
    return new FleetUnderTest({ server, clock, lines, directory });
  }

  /** Clients of a server in a process of its own, whose keys are in the directory; it goes its own way. */
  static reach(url: string, directory: string): FleetUnderTest {
    const server = { url, port: Number(new URL(url).port), [Symbol.asyncDispose]: async () => undefined };
    return new FleetUnderTest({ server, clock: new TestClock(), lines: [], directory });
  }

  get setupCode(): string {
    return readFileSync(join(this.directory, "setup-code"), "utf8").trim();
  }

  /** The keys that the server's own vouches for, as they stand on its disk. */
  get keySet() {
    return checkKeySet(JSON.parse(readFileSync(join(this.directory, "keys", "key-set.json"), "utf8")), this.serverKey);
  }

  /** Makes an organisation with the server's set-up code. */
  async createOrg(name: string, setupCode = this.setupCode): Promise<OrgUnderTest> {
    const orgKey = makePair("ed25519");
    const encryption = makePair("x25519");
    const own = { setupCode, name, owner: "ada", orgKey: orgKey.publicKey, orgEncryptionKey: encryption.publicKey };
    const codeSha256 = hash(parseCode("ghs", setupCode).secret);
    const proof = signWith(orgKey, newOrgTuple({ ...own, serverIdentityKey: this.serverKey, codeSha256 }));
    const { orgId, apiKey } = await createClient(OrgAdminService, this.transport).createOrg({ ...own, proof });
    return new OrgUnderTest(this, { orgId, apiKey, orgKey, encryption });
  }

  /** Stops the server; its keys stay. */
  async stop(): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function transportTo(baseUrl: string): Transport {
  return createGrpcTransport({ baseUrl, nodeOptions: { rejectUnauthorized: false } });
}

interface OrgParts {
  readonly orgId: string;
  readonly apiKey: string;
  readonly orgKey: Pair;
  readonly encryption: Pair;
}

/** An organisation as its owner's machine knows it. */
export class OrgUnderTest {
  readonly orgId: string;
  readonly apiKey: string;
  readonly orgKey: Pair;
  readonly encryption: Pair;
  readonly fleet: FleetUnderTest;
  #rosterVersion = 0;
  #rosterNodes: readonly RosterNode[] = [];

  constructor(fleet: FleetUnderTest, parts: OrgParts) {
    this.fleet = fleet;
    ({ orgId: this.orgId, apiKey: this.apiKey, orgKey: this.orgKey, encryption: this.encryption } = parts);
  }

  get headers() {
    return { headers: { Authorization: `Bearer ${this.apiKey}` } };
  }

  get nodes(): Client<typeof NodeAdminService> {
    return createClient(NodeAdminService, this.fleet.transport);
  }

  get credentials(): Client<typeof CredentialAdminService> {
    return createClient(CredentialAdminService, this.fleet.transport);
  }

  get policies(): Client<typeof PolicyAdminService> {
    return createClient(PolicyAdminService, this.fleet.transport);
  }

  get org(): Client<typeof OrgAdminService> {
    return createClient(OrgAdminService, this.fleet.transport);
  }

  async createCode(name = ""): Promise<string> {
    return (await this.nodes.createEnrollmentCode({ name }, this.headers)).code;
  }

  /** The next roster, signed by the org key. */
  nextRoster(nodes: readonly RosterNode[], signer: Pair = this.orgKey) {
    const { orgId: _, version, issuedAt, ...signed } = this.rosterAhead(nodes, { ahead: 1, signer });
    return { ...signed, version: BigInt(version), issuedAt: BigInt(issuedAt) };
  }

  /** A roster so many versions after the newest. */
  rosterAhead(
    nodes: readonly RosterNode[],
    { ahead, signer = this.orgKey }: { readonly ahead: number; readonly signer?: Pair },
  ) {
    const counted = { version: this.#rosterVersion + ahead, issuedAt: this.fleet.clock.now() };
    const roster = { orgId: this.orgId, ...counted, nodes: [...nodes], operatorKeys: [] };
    return { ...roster, signer: signer.publicKey, signature: signWith(signer, rosterTuple(roster)) };
  }

  /** Confirms as a person with the right fingerprint would. */
  async confirm(
    host: HostUnderTest,
    fingerprint = host.fingerprint,
    others: readonly RosterNode[] = [],
  ): Promise<void> {
    const { nodeId, enrollmentId } = host.registered;
    const nodes = [...this.#rosterNodes, host.rosterNode, ...others];
    await this.nodes.confirmNode({ nodeId, enrollmentId, fingerprint, roster: this.nextRoster(nodes) }, this.headers);
    this.#rosterVersion += 1;
    this.#rosterNodes = nodes;
  }

  /** A host that enrolled, was confirmed and opened what was sealed to it. */
  async enroll(name: string): Promise<HostUnderTest> {
    const host = new HostUnderTest(this, name);
    await host.register(await this.createCode());
    await this.confirm(host);
    return host;
  }
}

/** A host that asks to become a node, and the node that it becomes. */
export class HostUnderTest {
  readonly name: string;
  readonly org: OrgUnderTest;
  readonly identity = makePair("ed25519");
  readonly encryption = makePair("x25519");
  readonly caKey = new Uint8Array(
    generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "der" }),
  );
  #registered: { nodeId: string; enrollmentId: string } | undefined;
  #tuple = new Uint8Array();

  constructor(org: OrgUnderTest, name: string) {
    this.org = org;
    this.name = name;
  }

  get registered() {
    if (this.#registered === undefined) throw new Error("the host did not register");
    return this.#registered;
  }

  get tuple(): Uint8Array {
    return this.#tuple;
  }

  get fingerprint(): string {
    return formatFingerprint(hash(this.#tuple));
  }

  get rosterNode(): RosterNode {
    const { nodeId } = this.registered;
    const own = { identityKey: this.identity.publicKey, encryptionKey: this.encryption.publicKey, caKey: this.caKey };
    return { nodeId, ...own };
  }

  claim(code: string) {
    const keys = { identityKey: this.identity.publicKey, encryptionKey: this.encryption.publicKey, caKey: this.caKey };
    this.#tuple = new Uint8Array(
      enrollmentTuple({
        ...keys,
        serverIdentityKey: this.org.fleet.serverKey,
        orgId: this.org.orgId,
        orgKey: this.org.orgKey.publicKey,
        codeSha256: hash(parseCode("ghe", code).secret),
        name: this.name,
      }),
    );
    return {
      enrollmentToken: code,
      name: this.name,
      identityPublicKey: keys.identityKey,
      encryptionPublicKey: keys.encryptionKey,
      caPublicKey: keys.caKey,
      proof: signWith(this.identity, this.#tuple),
    };
  }

  async register(code: string): Promise<void> {
    this.#registered = await this.org.fleet.gateway.register(this.claim(code));
  }

  /** Answers a challenge; `signer` stands for whoever holds another key, `asked` for what the host takes the server for. */
  async handshake(apiKey: string, signer: Pair = this.identity, asked: Partial<AskedServer> = {}) {
    const { gateway, server, serverKey } = this.org.fleet;
    const clientNonce = systemRandom.bytes(32);
    const identityKey = this.identity.publicKey;
    const begun = await gateway.beginAuthHandshake({ apiKey, identityPublicKey: identityKey, clientNonce });
    const own = { origin: server.url, serverIdentityKey: serverKey, challenge: begun.challenge, clientNonce, ...asked };
    const { serverNonce } = begun;
    const tuple = handshakeTuple({ ...own, serverNonce, nodeId: this.registered.nodeId, identityKey });
    return { answer: { challenge: begun.challenge, signature: signWith(signer, tuple) }, tuple };
  }

  /** The headers of one call of a session. */
  async proof(token: string, method: string, nonce: string, jti = base64url(systemRandom.bytes(16))) {
    const jwk = { kty: "OKP", crv: "Ed25519", x: base64url(this.identity.publicKey) };
    const htu = `${this.org.fleet.server.url}/${NodeGatewayService.typeName}/${method}`;
    const claims = { htm: "POST", htu, ath: base64url(hash(token)), jti, nonce, iat: Math.floor(Date.now() / 1000) };
    const proof = await new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
      .setProtectedHeader({ alg: "EdDSA", typ: "dpop+jwt", jwk })
      .sign(this.identity.privateKey);
    return { headers: { Authorization: `DPoP ${token}`, DPoP: proof } };
  }
}

/** Matches a failed call by the problem that it names. */
export function refused(code: string): unknown {
  return {
    asymmetricMatch: (failure: { readonly metadata?: Headers }) => failure?.metadata?.get("gatehouse-problem") === code,
    toString: () => `refused with ${code}`,
  };
}
