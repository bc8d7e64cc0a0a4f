import { create, toBinary } from "@bufbuild/protobuf";
import { makeUuid, Problem } from "@gatehouse/core";
import {
  type AttachOpen,
  type AttachRunRequest,
  type AttachRunResponse,
  AttachRunResponseSchema,
  CommandPayloadSchema,
} from "@gatehouse/wire";
import type { CommandState } from "../../commands/command-records.ts";
import { sendCommand } from "../../commands/send-command.ts";
import type { OperatorCaller } from "../../orgs/authenticate-operator.ts";
import type { ServerContext } from "../../server-context.ts";
import { actorOf } from "../caller.ts";
import { nextChange } from "../next-change.ts";
import type { Attachment } from "./attachment.ts";
import { firstMessage, takeRest } from "./first-message.ts";

const OPEN_WITHIN_MS = 5_000;
/** How long the node may take to open its stream. */
const JOIN_WITHIN_MS = 15_000;

export interface AttachDeps {
  readonly server: ServerContext;
  readonly signal: AbortSignal;
}

/**
 * Attaches a member to a run: commands its node, on record, to open the run's streams here, and passes on what comes.
 * Fails with `nodes.not_found`, `api.too_many`, `runs.away`, `runs.taken_over`, `commands.refused`,
 * `commands.unanswered`, or `stream.broken`.
 */
export async function* serveAttachment(
  requests: AsyncIterable<AttachRunRequest>,
  caller: OperatorCaller,
  { server, signal }: AttachDeps,
): AsyncGenerator<AttachRunResponse> {
  const { streams, clock, random } = server;
  const { orgId, memberId } = caller;
  const incoming = requests[Symbol.asyncIterator]();
  const read = ({ message }: AttachRunRequest) => (message.case === "open" ? message.value : undefined);
  const open = await firstMessage(incoming, { read, withinMs: OPEN_WITHIN_MS, code: "stream.broken" });
  const { nodeId, runId, wantsInput } = open;
  await requireNode(server, orgId, nodeId);
  if (!streams.isHere(orgId, nodeId)) throw new Problem("runs.away");
  const id = makeUuid(clock.now(), random);
  const attachment = streams.attachments.add({ id, orgId, memberId, nodeId, runId, wantsInput });
  const end = () => attachment.end();
  const joining = new AbortController();
  signal.addEventListener("abort", end, { once: true });
  try {
    void takeRest(incoming, (message) => attachment.takeFromOperator(message), {
      onEnd: () => undefined, // who has nothing more to say may still listen
      onFault: (failure) => attachment.fail(failure),
    });
    void untilJoined(attachment, { open, caller, server, signal: joining.signal }).catch((failure: unknown) =>
      attachment.fail(failure),
    );
    for await (const message of attachment.toOperator) {
      if (message.case === "opened") joining.abort();
      yield create(AttachRunResponseSchema, { message });
    }
  } finally {
    signal.removeEventListener("abort", end);
    joining.abort();
    attachment.end();
    streams.attachments.remove(attachment);
  }
}

async function requireNode({ store }: ServerContext, orgId: string, nodeId: string): Promise<void> {
  const node = await store.inOrg(orgId, (tx) => tx.nodes.find(nodeId));
  if (node?.state !== "confirmed") throw new Problem("nodes.not_found");
}

interface Joining extends AttachDeps {
  readonly open: AttachOpen;
  readonly caller: OperatorCaller;
}

/** Gives the command and waits until its node's stream came. Fails where the node refuses, or does not come in time. */
async function untilJoined(attachment: Attachment, joining: Joining): Promise<void> {
  const { key } = attachment;
  const { server, signal } = joining;
  const { store, bus } = server;
  const commandId = await command(key.id, joining);
  const deadline = performance.now() + JOIN_WITHIN_MS;
  const changed = nextChange(bus, (message) => message.kind === "commands" && message.nodeId === key.nodeId);
  while (!attachment.isJoined && !signal.aborted) {
    // Asked before reading, so that no change falls between.
    const change = changed(signal);
    const found = await store.inOrg(key.orgId, (tx) => tx.commands.find(commandId));
    const refusal = found && refusalOf(found.state, found.message);
    if (refusal !== undefined) throw refusal;
    if (performance.now() > deadline) throw new Problem("commands.unanswered");
    await change;
  }
}

async function command(attachmentId: string, { open, caller, server }: Joining): Promise<string> {
  const { store, bus, random } = server;
  const { orgId, memberId, authority } = caller;
  const { nodeId, runId, offset, wantsInput } = open;
  const kind = { case: "openRunStream", value: { runId, attachmentId, offset, wantsInput } } as const;
  const input = {
    actor: actorOf(caller),
    memberId,
    authority,
    targets: { nodeIds: [nodeId] },
    payload: toBinary(CommandPayloadSchema, create(CommandPayloadSchema, { kind })),
    kind: "open_run_stream",
    idempotencyKey: attachmentId,
    ttlMs: JOIN_WITHIN_MS,
  };
  const { commands } = await store.inOrg(orgId, (tx) => sendCommand(tx, input, random));
  bus.publish({ kind: "commands", orgId, nodeId });
  bus.publish({ kind: "events", orgId });
  return commands[0]?.id ?? "";
}

function refusalOf(state: CommandState, message: string): Problem | undefined {
  if (state === "queued" || state === "sent" || state === "ok") return undefined;
  if (state === "expired") return new Problem("commands.unanswered");
  return new Problem("commands.refused", { detail: message });
}
