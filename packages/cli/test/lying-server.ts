import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import {
  type BoundCredential,
  credentialTuple,
  makeUuid,
  type RosterNode,
  rosterTuple,
  Secret,
  systemRandom,
} from "@gatehouse/core";
import {
  openSealingKey,
  PROBLEM_HEADER,
  projectJwe,
  readBindings,
  type SealingKey,
  type SignedRoster,
  sealCredential,
  writeBindings,
  writeRosterMessage,
} from "@gatehouse/kit";
import {
  AuditAdminService,
  CommandPayloadSchema,
  CredentialAdminService,
  NodeAdminService,
  type NodeState,
  OrgAdminService,
  PolicyAdminService,
  type Roster,
  type SealedCredential,
} from "@gatehouse/wire";
import type { Operator } from "../src/operator/open-operator.ts";
import { OperatorFiles } from "../src/operator/operator-files.ts";
import type { WaitingHost } from "../src/operator/waiting-host.ts";

export type Sealed = Omit<SealedCredential, "$typeName" | "$unknown">;

/** A node of the roster with its private key. */
export interface ListedNode extends RosterNode {
  readonly key: SealingKey;
}

const BINDINGS = [{ hosts: ["api.example.com"], header: "authorization", format: "Bearer {value}" }];

/** An operator's machine with the organisation's keys, at a server that answers as it likes. */
export class LyingServer implements AsyncDisposable {
  readonly operator: Operator;
  readonly roster: SignedRoster;
  readonly nodes: readonly ListedNode[];
  /** What was handed to the server. */
  readonly put: SealedCredential[] = [];
  /** Orders to seal onward that nodes were to be given, by node. */
  readonly ordered: { readonly nodeIds: readonly string[]; readonly recipients: readonly Uint8Array[] }[] = [];
  /** What it answers when it is asked for a credential, and for a node. */
  readonly shown = new Map<string, Sealed>();
  readonly shownNodes = new Map<string, { readonly id: string; readonly name: string; readonly state?: NodeState }>();
  /** What it shows of a host that waits, beside its node; and the rosters that it was given to confirm by. */
  shownWaiting: Partial<Omit<WaitingHost, "$typeName" | "node">> = {};
  /** The same of one host among several. */
  readonly shownWaitingOf = new Map<string, LyingServer["shownWaiting"]>();
  /** Hosts that it confirms nothing for. */
  readonly refusedNodeIds = new Set<string>();
  readonly confirmed: Roster[] = [];
  readonly #directory: string;

  private constructor(directory: string, { files, server, roster, nodes }: Parts) {
    this.#directory = directory;
    this.roster = roster;
    this.nodes = nodes;
    this.operator = { files, server, ...this.#clients() };
  }

  /** The organisation has so many nodes. */
  static async open(count: number): Promise<LyingServer> {
    const directory = await mkdtemp(join(tmpdir(), "gatehouse-lying-"));
    const nodes = await Promise.all(Array.from({ length: count }, (_, at) => makeNode(join(directory, `n${at}.key`))));
    const files = await OperatorFiles.open(directory);
    const { signing, encryption } = await files.openOrgKeys();
    const orgId = makeUuid(1, systemRandom);
    const listed = nodes.map(({ nodeId, identityKey, encryptionKey, caKey }) => {
      return { nodeId, identityKey, encryptionKey, caKey };
    });
    const operatorKeys = [(await files.openOperatorKey()).publicKey];
    const roster = { orgId, version: 1, issuedAt: 1, nodes: listed, operatorKeys };
    const signed = { ...roster, signer: signing.publicKey, signature: signing.sign(rosterTuple(roster)) };
    const keys = { orgKey: signing.publicKey, orgEncryptionKey: encryption.publicKey };
    const keySet = { epoch: 1, issued_at: 1, keys: [], signature: "" };
    const own = { url: "https://server.example", org: "acme", owner: "ada", identityKey: new Uint8Array(32) };
    const server = { ...own, ...keys, orgId, keySet };
    return new LyingServer(directory, { files, nodes, roster: signed, server });
  }

  /** A credential as this operator seals it, for these nodes. */
  async seal(name: string, value: string, nodes: readonly ListedNode[]): Promise<Sealed> {
    const { files, server } = this.operator;
    const credentialId = makeUuid(2, systemRandom);
    const bound = { orgId: server.orgId, credentialId, name, version: 1, kind: "static", bindings: BINDINGS };
    const recipients = [...nodes.map(({ encryptionKey }) => encryptionKey), server.orgEncryptionKey];
    const parties = { recipients, signer: await files.openOperatorKey() };
    const sealed = await sealCredential({ ...bound, endpoints: [] }, new Secret(value), parties);
    const nodeIds = nodes.map(({ nodeId }) => nodeId);
    return { ...sealed, credentialId, name, version: 1n, kind: "static", bindings: writeBindings(BINDINGS), nodeIds };
  }

  #clients(): Clients {
    const transport = createRouterTransport(({ service }) => {
      service(CredentialAdminService, {
        getCredential: ({ name }) => ({ credential: this.#find(name) }),
        putCredential: ({ credential }) => {
          if (credential !== undefined) this.put.push(credential);
          return {};
        },
      });
      service(OrgAdminService, { getOrg: () => ({ roster: writeRosterMessage(this.roster) }) });
      service(NodeAdminService, {
        getNode: ({ node }) => ({
          ...this.shownWaiting,
          ...this.shownWaitingOf.get(node),
          node: this.shownNodes.get(node) ?? { name: node },
        }),
        listEnrollmentCodes: () => ({}),
        confirmNode: ({ roster, nodeId }) => {
          if (this.refusedNodeIds.has(nodeId)) throw new ConnectError("refused", Code.FailedPrecondition);
          if (roster !== undefined) this.confirmed.push(roster);
          return {};
        },
        sendCommand: ({ nodeIds, payload }) => {
          const { kind } = fromBinary(CommandPayloadSchema, payload);
          if (kind.case === "reseal") this.ordered.push({ nodeIds, recipients: kind.value.recipients });
          return {};
        },
      });
    });
    return {
      org: createClient(OrgAdminService, transport),
      nodes: createClient(NodeAdminService, transport),
      audit: createClient(AuditAdminService, transport),
      credentials: createClient(CredentialAdminService, transport),
      policies: createClient(PolicyAdminService, transport),
    };
  }

  #find(name: string): Sealed {
    const found = this.shown.get(name);
    if (found !== undefined) return found;
    throw new ConnectError("not there", Code.NotFound, { [PROBLEM_HEADER]: "credentials.not_found" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true });
  }
}

type Parts = Pick<LyingServer, "roster" | "nodes"> & Pick<Operator, "files" | "server">;
type Clients = Pick<Operator, "org" | "nodes" | "audit" | "credentials" | "policies">;

async function makeNode(path: string): Promise<ListedNode> {
  const key = await openSealingKey(path);
  const identityKey = systemRandom.bytes(32);
  return { nodeId: makeUuid(3, systemRandom), identityKey, encryptionKey: key.publicKey, caKey: identityKey, key };
}

/** What a node reads of a credential whose part for it stands in the other document. */
export async function openedBy(
  { key }: ListedNode,
  orgId: string,
  { of, part }: { readonly of: Sealed; readonly part: Sealed | undefined },
): Promise<string | undefined> {
  const { encrypted_key, header } = JSON.parse(projectJwe(part?.jwe ?? of.jwe, key.publicKey) ?? "{}");
  const { recipients: _, ...shared } = JSON.parse(of.jwe);
  const aad = credentialTuple(boundOf(orgId, of));
  const opened = key.open(JSON.stringify({ ...shared, encrypted_key, header }), aad);
  return opened.then(
    (value) => value.reveal(),
    () => undefined,
  );
}

function boundOf(orgId: string, { credentialId, name, version, kind, bindings }: Sealed): BoundCredential {
  return { orgId, credentialId, name, version: Number(version), kind, bindings: readBindings(bindings), endpoints: [] };
}
