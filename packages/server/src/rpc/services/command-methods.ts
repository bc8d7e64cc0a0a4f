import { setTimeout as wait } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { linkSignals, Problem } from "@gatehouse/core";
import {
  type CommandPayload,
  CommandPayloadSchema,
  type ListCommandsRequest,
  type NodeAdminService,
} from "@gatehouse/wire";
import { cancelCommand } from "../../commands/cancel-command.ts";
import type { CommandRecords, StoredCommand } from "../../commands/command-records.ts";
import { type CommandTargets, sendCommand } from "../../commands/send-command.ts";
import { acceptNode } from "../../nodes/accept-node.ts";
import type { Role } from "../../orgs/org-records.ts";
import { mayDo } from "../../orgs/roles.ts";
import { nextPageToken, readPage } from "../../page.ts";
import type { ServerContext } from "../../server-context.ts";
import { actorOf, operatorCaller } from "../caller.ts";
import { nextChange } from "../next-change.ts";
import { serveAttachment } from "../streams/serve-attachment.ts";
import { whileAllowed } from "../while-allowed.ts";
import { type Described, describeCommand } from "./describe-command.ts";

const DEFAULT_TTL_MS = 600_000;
const DEFAULT_PAGE = 1_000;
const LOOK_AGAIN_MS = 100;

/** Commands, as operators give and follow them. */
export function commandMethods(server: ServerContext) {
  const { store, bus, random, check } = server;
  return {
    acceptNode: async ({ nodeId }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      await store.inOrg(orgId, (tx) => acceptNode(tx, { nodeId, actor: actorOf(caller) }));
      bus.publish({ kind: "commands", orgId, nodeId });
      bus.publish({ kind: "bundle", orgId, nodeId });
      return {};
    },
    sendCommand: async ({ nodeIds, labels, payload, idempotencyKey, ttlMs }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const asked = readPayload(payload);
      check(CommandPayloadSchema, asked);
      const { memberId, authority } = caller;
      const input = {
        actor: actorOf(caller),
        memberId,
        authority,
        targets: readTargets(nodeIds, labels),
        payload,
        kind: nameOfKind(asked),
        idempotencyKey,
        ttlMs: ttlMs === 0n ? DEFAULT_TTL_MS : Number(ttlMs),
      };
      const { batchId, commands } = await store.inOrg(orgId, (tx) => sendCommand(tx, input, random));
      for (const { nodeId } of commands) bus.publish({ kind: "commands", orgId, nodeId });
      bus.publish({ kind: "events", orgId });
      return { batchId, commands: commands.map(describeCommand) };
    },
    attachRun: (requests, context) => {
      const caller = operatorCaller(context);
      return whileAllowed(context, bus, (signal) => serveAttachment(requests, caller, { server, signal }));
    },
    cancelCommand: async ({ commandId }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const input = { commandId, actor: actorOf(caller) };
      const command = await store.inOrg(orgId, (tx) => cancelCommand(tx, input));
      return { command: describeCommand(command) };
    },
    listCommands: async (asked, context) => {
      const { orgId, role } = operatorCaller(context);
      const { batchId, commandId, waitMs } = asked;
      if (batchId === "" && commandId === "") return store.inOrg(orgId, (tx) => listPage(tx, asked, role));
      requireOneWay(asked);
      const list = () => store.inOrg(orgId, (tx) => readCommands(tx, { batchId, commandId }));
      const changes = nextChange(bus, (message) => message.kind === "commands" && message.orgId === orgId);
      const signal = AbortSignal.any([context.signal, AbortSignal.timeout(Number(waitMs))]);
      const countUnended = () => store.inOrg(orgId, (tx) => countUnendedOf(tx, { batchId, commandId }));
      if (waitMs !== 0n) await untilEnded(countUnended, changes, signal);
      const commands = await list();
      if (commands.length === 0) throw new Problem("commands.not_found");
      return { commands: commands.map((command) => describeFor(role, command)), totals: countStates(commands) };
    },
  } satisfies Partial<ServiceImpl<typeof NodeAdminService>>;
}

/** What a command brought back (a run's output, say) is for those who may command; others see how it ended. */
function describeFor(role: Role, command: Described) {
  return describeCommand(mayDo(role, "node:command") ? command : { ...command, result: undefined, message: "" });
}

function requireOneWay(asked: ListCommandsRequest): void {
  if (asked.batchId !== "" && asked.commandId !== "") {
    throw new Problem("api.malformed", { detail: "One of batch_id and command_id is enough." });
  }
  if (asked.nodeId !== "" || asked.openOnly || asked.pageSize !== 0 || asked.pageToken !== "") {
    throw new Problem("api.malformed", { detail: "A batch and a command are not read by the page." });
  }
}

async function listPage(tx: { readonly commands: CommandRecords }, asked: ListCommandsRequest, role: Role) {
  if (asked.waitMs !== 0n) throw new Problem("api.malformed", { detail: "A page is not waited for." });
  const page = readPage(asked, DEFAULT_PAGE);
  const filter = { nodeId: asked.nodeId === "" ? undefined : asked.nodeId, isOpen: asked.openOnly };
  const listed = await tx.commands.list(filter, page);
  const commands = listed.map((command) => describeFor(role, command));
  return { commands, nextPageToken: nextPageToken(listed, page, ({ id }) => id) };
}

interface AskedCommands {
  readonly batchId: string;
  readonly commandId: string;
}

async function readCommands(
  tx: { readonly commands: CommandRecords },
  { batchId, commandId }: AskedCommands,
): Promise<readonly StoredCommand[]> {
  if (batchId !== "") return tx.commands.listBatch(batchId);
  const one = await tx.commands.find(commandId);
  return one === undefined ? [] : [one];
}

/** More than one is a crowd. */
async function countUnendedOf(
  { commands }: { readonly commands: CommandRecords },
  { batchId, commandId }: AskedCommands,
): Promise<number> {
  if (batchId !== "") return commands.countUnended(batchId, 2);
  const one = await commands.find(commandId);
  return one !== undefined && one.finishedAt === undefined ? 1 : 0;
}

/** Looks again after each change, until every command has its end or the signal aborts. */
async function untilEnded(
  countUnended: () => Promise<number>,
  nextOf: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const round = new AbortController();
    using linked = linkSignals(signal, round.signal);
    const changed = nextOf(linked.signal);
    const unended = await countUnended();
    const isOver = signal.aborted || unended === 0;
    if (isOver) round.abort();
    await changed;
    if (isOver) return;
    if (unended > 1) await pause(signal);
  }
}

/** The ends of a batch come in a crowd: one look for many of them. */
async function pause(signal: AbortSignal): Promise<void> {
  await wait(LOOK_AGAIN_MS, undefined, { signal }).catch(() => undefined);
}

/** By the name of the state. */
function countStates(commands: readonly StoredCommand[]): Record<string, number> {
  const totals: Record<string, number> = {};
  for (const { state } of commands) totals[state] = (totals[state] ?? 0) + 1;
  return totals;
}

function readTargets(nodeIds: readonly string[], labels: Readonly<Record<string, string>>): CommandTargets {
  const hasLabels = Object.keys(labels).length > 0;
  if (hasLabels === nodeIds.length > 0) {
    throw new Problem("api.malformed", { detail: "One of node_ids and labels is needed." });
  }
  return hasLabels ? { labels } : { nodeIds };
}

function readPayload(bytes: Uint8Array): CommandPayload {
  try {
    return fromBinary(CommandPayloadSchema, bytes);
  } catch (cause) {
    throw new Problem("api.malformed", { detail: "payload is no CommandPayload.", cause });
  }
}

/** `startRun` → `start_run`. */
function nameOfKind({ kind }: CommandPayload): string {
  return (kind.case ?? "").replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
