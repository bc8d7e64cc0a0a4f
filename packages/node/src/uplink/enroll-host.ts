import { createClient } from "@connectrpc/connect";
import {
  awaitTuple,
  enrollmentTuple,
  formatFingerprint,
  type OneTimeCode,
  Problem,
  parseCode,
  parseResourceName,
} from "@gatehouse/core";
import {
  type KnownChannel,
  openKnownChannel,
  openPinnedChannel,
  parseServerUrl,
  type ServerIdentity,
  sha256,
  toServerProblem,
} from "@gatehouse/kit";
import { EnrollmentState, NodeGatewayService } from "@gatehouse/wire";
import { openLocalAdmin } from "../local-page/local-admin.ts";
import { checkStillKnown } from "./change-key.ts";
import { checkConfirmation } from "./check-confirmation.ts";
import { type HostKeys, openHostKeys } from "./host-keys.ts";
import { knownServer, NodeFiles, type PendingEnrollment } from "./node-files.ts";
import { retryDelays } from "./retry-delays.ts";
import { SealedPieces } from "./sealed-pieces.ts";

export interface EnrollInput {
  readonly stateDir: string;
  readonly serverUrl: string;
  readonly name: string;
  /** Asked for where nothing waits to be resumed. */
  readonly code: () => Promise<string>;
}

/** What a person sees while a host becomes a node. */
export type EnrollProgress =
  | { readonly state: "awaiting_confirmation"; readonly nodeId: string; readonly fingerprint: string }
  | { readonly state: "confirmed"; readonly nodeId: string };

/**
 * Makes this host a node of a server: makes its keys, proves the server by the code's pin on the connection that then
 * carries the code, claims the code, and waits until a person compared the fingerprint. Interrupted anywhere, the same
 * call goes on; a host that is a node already asks whether the server still knows it. Fails with `server.…`,
 * `enroll.…`, `state.…`; aborting leaves what was reached.
 */
export async function* enrollHost(input: EnrollInput, signal: AbortSignal): AsyncGenerator<EnrollProgress> {
  const origin = parseServerUrl(input.serverUrl);
  const name: string = parseResourceName(input.name);
  const files = new NodeFiles(input.stateDir);
  const enrolled = await files.enrolled();
  if (enrolled !== undefined) {
    if (enrolled.server_url !== origin)
      throw new Problem("enroll.other_server", { detail: `It is ${enrolled.server_url}.` });
    await checkStillKnown(input.stateDir, signal);
    yield { state: "confirmed", nodeId: enrolled.node_id };
    return;
  }
  const keys = await openHostKeys(input.stateDir);
  const pending =
    (await resumable(files, origin, name)) ?? (await claim({ ...input, origin, name, files, keys }, signal));
  const fingerprint = formatFingerprint(pending.tuple_sha256);
  yield { state: "awaiting_confirmation", nodeId: pending.node_id, fingerprint };
  const sealed = await awaitSealed({ pending, keys, files }, signal);
  if (sealed === undefined) {
    await files.forgetPending();
    throw new Problem("enroll.not_waiting", { detail: "Nobody confirmed it in time, or somebody cancelled it." });
  }
  await openLocalAdmin(input.stateDir);
  await accept(sealed, { pending, keys, files });
  yield { state: "confirmed", nodeId: pending.node_id };
}

async function resumable(files: NodeFiles, origin: string, name: string): Promise<PendingEnrollment | undefined> {
  const pending = await files.pending();
  if (pending === undefined) return undefined;
  if (pending.server_url === origin && pending.name === name) return pending;
  throw new Problem("enroll.other_server", { detail: `It waits as ${pending.name} at ${pending.server_url}.` });
}

interface Claim extends EnrollInput {
  readonly origin: string;
  readonly files: NodeFiles;
  readonly keys: HostKeys;
}

async function claim(input: Claim, signal: AbortSignal): Promise<PendingEnrollment> {
  const { origin, name, files, keys } = input;
  const text = (await input.code()).trim();
  const code = parseCode("ghe", text);
  const { channel, identity } = await openPinnedChannel(origin, code.pin, signal);
  using _ = channel;
  const tuple = claimTuple(name, { identity, code, keys });
  const request = {
    enrollmentToken: text,
    name,
    identityPublicKey: keys.identity.publicKey,
    encryptionPublicKey: keys.encryption.publicKey,
    caPublicKey: keys.caPublicKey,
    proof: keys.identity.sign(tuple),
  };
  const gateway = createClient(NodeGatewayService, channel.transport);
  const answer = await gateway.register(request, { signal }).catch((failure: unknown) => {
    throw toServerProblem(failure);
  });
  const pending: PendingEnrollment = {
    server_url: origin,
    name,
    node_id: answer.nodeId,
    org_id: identity.orgId,
    org_key: identity.orgKey,
    server_identity_key: identity.identityKey,
    key_set: identity.keySet,
    tuple_sha256: sha256(tuple),
    enrollment_id: answer.enrollmentId,
    confirm_expires_at: Number(answer.confirmExpiresAt),
  };
  await files.savePending(pending);
  return pending;
}

interface ClaimParts {
  readonly identity: ServerIdentity;
  readonly code: OneTimeCode;
  readonly keys: HostKeys;
}

function claimTuple(name: string, { identity, code, keys }: ClaimParts): Uint8Array {
  return enrollmentTuple({
    serverIdentityKey: identity.identityKey,
    orgId: identity.orgId,
    orgKey: identity.orgKey,
    codeSha256: sha256(code.secret),
    name,
    identityKey: keys.identity.publicKey,
    encryptionKey: keys.encryption.publicKey,
    caKey: keys.caPublicKey,
  });
}

interface Waiting {
  readonly pending: PendingEnrollment;
  readonly keys: HostKeys;
  readonly files: NodeFiles;
}

/** Waits over any number of connections. `undefined`: the enrollment has ended without a confirmation. */
async function awaitSealed({ pending, keys, files }: Waiting, signal: AbortSignal): Promise<string | undefined> {
  for await (const wait of retryDelays(signal)) {
    try {
      using channel = await openKnownChannel(
        knownServer(pending, (keySet) => files.learnPending(pending, keySet)),
        { signal },
      );
      return await listen(channel, { pending, keys }, signal);
    } catch (failure) {
      const problem = toServerProblem(failure);
      const isPassing =
        problem instanceof Problem && (problem.code === "server.unreachable" || problem.code === "server.timeout");
      if (!isPassing || signal.aborted) throw problem;
      await wait();
    }
  }
  throw signal.reason;
}

async function listen(
  channel: KnownChannel,
  { pending, keys }: { readonly pending: PendingEnrollment; readonly keys: HostKeys },
  signal: AbortSignal,
): Promise<string | undefined> {
  const { server_url: origin, enrollment_id: enrollmentId, tuple_sha256: tupleSha256 } = pending;
  const signedAt = await channel.serverTime();
  const signature = keys.identity.sign(awaitTuple({ origin, enrollmentId, tupleSha256, signedAt }));
  const request = { enrollmentId, signedAt: BigInt(signedAt), signature, takesPieces: true };
  const client = createClient(NodeGatewayService, channel.transport);
  // The person takes as long as the enrollment lives; the stream has no deadline of its own.
  const pieces = new SealedPieces();
  for await (const answer of client.awaitConfirmation(request, { signal, timeoutMs: 0 })) {
    const sealed = answer.state === EnrollmentState.CONFIRMED ? pieces.take(answer) : undefined;
    if (sealed !== undefined) return sealed;
    if (answer.state !== EnrollmentState.CONFIRMED && answer.state !== EnrollmentState.AWAITING_CONFIRMATION) {
      return undefined;
    }
  }
  throw new Problem("server.unreachable", { detail: "The answer ended early." });
}

/** Keeps what the server sealed to this host, once it was held against what the pin proved. */
async function accept(sealed: string, { pending, keys, files }: Waiting): Promise<void> {
  const opened = await keys.encryption.open(sealed, pending.tuple_sha256);
  // What was learned on the connections while it waited counts too.
  const known = (await files.pending()) ?? pending;
  const { apiKey, ...confirmed } = checkConfirmation(JSON.parse(opened.reveal()), known, keys);
  await files.saveApiKey(apiKey);
  const { enrollment_id: _, confirm_expires_at: __, ...server } = pending;
  await files.saveEnrolled({ ...server, ...confirmed });
  await files.forgetPending();
}
