import { Problem, toProblem } from "@gatehouse/core";
import { type SentCommand, SentCommand_State } from "@gatehouse/wire";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { allNodes } from "../operator/all-pages.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { note, printJson, printLine, printTable, shown } from "../terminal/print.ts";
import { cancelCommands } from "./cancel-commands.ts";

/** What a server answers at once. */
const LONGEST_PAGE = 1_000;
const COMMAND_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Lists what nodes were told to do, the newest first: how each ended, and who took back what was not done. */
export async function listSent(invocation: Invocation): Promise<number> {
  const rows = await asOperator(invocation.config.state.dir, async (operator) => {
    const batchId = textOption(invocation, "batch");
    const batch = batchId === undefined ? undefined : (await operator.nodes.listCommands({ batchId })).commands;
    const commands = batch ?? (await newest(operator, invocation));
    const names = new Map((await allNodes(operator)).map(({ id, name }) => [id, name]));
    return commands.map((command) => describe(command, names.get(command.nodeId) ?? command.nodeId));
  });
  if (isSet(invocation, "json")) printJson(rows);
  else if (rows.length === 0) printLine(isSet(invocation, "waiting") ? "No command waits." : "No commands.");
  else
    printTable(
      ["COMMAND", "NODE", "KIND", "STATE", "BY", "GIVEN", "WITHDRAWN"],
      rows.map((row) => [row.id, row.node, row.kind, wordOf(row), row.actor, row.given_at, whyOf(row)]),
    );
  return 0;
}

/**
 * Takes commands back that were not sent yet, and says what became of each, also where the server was lost on the way.
 * Fails as what kept it from the rest, or as the first one that was not cancelled.
 */
export async function cancelSent(invocation: Invocation): Promise<number> {
  requireIds(invocation.args);
  const done = await asOperator(invocation.config.state.dir, ({ nodes }) => cancelCommands(nodes, invocation.args));
  const { cancelled, kept, unknown, untried, failure } = done;
  if (isSet(invocation, "json")) {
    printJson({ cancelled, kept: [...kept].map(([id, { code }]) => ({ id, problem: code })), unknown, untried });
  } else {
    for (const id of cancelled) printLine(`Cancelled ${shown(id)}.`);
    for (const [id, { message }] of kept) note(`${id}: ${message}`);
    for (const id of unknown) note(`${id}: the answer did not come; it may be cancelled.`);
    for (const id of untried) note(`${id}: not tried.`);
  }
  if (unknown.length > 0) throw failure;
  return failure === undefined ? 0 : toProblem(failure).row.exit;
}

function requireIds(ids: readonly string[]): void {
  const strange = ids.find((id) => !COMMAND_ID.test(id));
  if (strange === undefined) return;
  throw new Problem("usage.invalid", {
    detail: `${shown(strange)} is no command's id: gatehouse commands ls shows them.`,
  });
}

async function newest({ nodes }: Operator, invocation: Invocation): Promise<readonly SentCommand[]> {
  const limit = readLimit(textOption(invocation, "limit"));
  const node = textOption(invocation, "node");
  const nodeId = node === undefined ? "" : ((await nodes.getNode({ node })).node?.id ?? "");
  const found: SentCommand[] = [];
  let pageToken = "";
  do {
    const pageSize = Math.min(limit - found.length, LONGEST_PAGE);
    const page = await nodes.listCommands({ nodeId, openOnly: isSet(invocation, "waiting"), pageSize, pageToken });
    found.push(...page.commands);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && found.length < limit);
  return found;
}

function readLimit(text = "100"): number {
  if (/^[1-9][0-9]{0,5}$/.test(text)) return Number(text);
  throw new Problem("usage.invalid", { detail: "--limit is a whole number from 1 on." });
}

type Row = ReturnType<typeof describe>;

function describe(command: SentCommand, node: string) {
  const { commandId, batchId, kind, state, actor, message, createdAt, finishedAt, authority } = command;
  const { withdrawnBy, withdrawnWhy } = command;
  return {
    id: commandId,
    batch_id: batchId,
    node,
    kind,
    state: SentCommand_State[state].toLowerCase(),
    message,
    actor,
    authority: authority === "" ? null : authority,
    given_at: new Date(Number(createdAt)).toISOString(),
    ended_at: finishedAt === 0n ? null : new Date(Number(finishedAt)).toISOString(),
    withdrawn_by: withdrawnBy === "" ? null : withdrawnBy,
    withdrawn_why: withdrawnWhy === "" ? null : withdrawnWhy,
  };
}

/** What was taken back in time is refused by no node. */
function wordOf({ state, withdrawn_by: by }: Row): string {
  return by !== null && state === "forbidden" ? "withdrawn" : state.replaceAll("_", " ");
}

/** Who took it back, and why. */
function whyOf({ withdrawn_by: by, withdrawn_why: why }: Row): string {
  return by === null ? "" : `by ${by}: ${why?.replaceAll("_", " ")}`;
}
