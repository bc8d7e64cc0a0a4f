import { base64url, Problem, parseCode } from "@gatehouse/core";
import { orgPin, writeFileAtomic } from "@gatehouse/kit";
import { Enrollment_State } from "@gatehouse/wire";
import { type Invocation, isSet, listOption, textOption } from "../invocation.ts";
import { allPages } from "../operator/all-pages.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { nameItSaid } from "../operator/server-said.ts";
import { readName } from "../read-name.ts";
import { note, printJson, printLine, printTable } from "../terminal/print.ts";
import { readDuration } from "../terminal/read-duration.ts";
import { readLabels } from "../terminal/read-labels.ts";

interface MadeCode {
  readonly code: string;
  readonly enrollmentId: string;
  readonly expiresAt: bigint;
  /** What the host calls itself. */
  readonly name: string;
}

/** Makes a one-time code for a host. It is shown once. */
export async function enrollCode(invocation: Invocation): Promise<number> {
  const asked = textOption(invocation, "name");
  const name = asked === undefined ? "" : readName(asked, "--name");
  const labels = readLabels(listOption(invocation, "label"));
  const claimTtlMs = ttlOf(invocation);
  return asOperator(invocation.config.state.dir, async (operator) => {
    const made = await operator.nodes.createEnrollmentCode({ name, labels, claimTtlMs });
    const code = await show(invocation, operator, { ...made, name: name === "" ? "NAME" : name });
    if (name !== "") await tellOfOthers(operator, { name, enrollmentId: made.enrollmentId });
    return code;
  });
}

/** Two codes for one name: the host that claims second is refused. */
async function tellOfOthers({ nodes }: Operator, own: Pick<MadeCode, "name" | "enrollmentId">): Promise<void> {
  const enrollments = await allPages(nodes.listEnrollmentCodes, (page) => page.enrollments);
  for (const { id, name, state } of enrollments) {
    if (name !== own.name || id === own.enrollmentId || !WAITING.has(state)) continue;
    note(`${name} waits by another code already; to end that one: gatehouse nodes cancel ${nameItSaid(id)}`);
  }
}

const WAITING: ReadonlySet<Enrollment_State> = new Set([
  Enrollment_State.PENDING,
  Enrollment_State.AWAITING_CONFIRMATION,
]);

/** Makes a code that may claim the name of a node that was lost. */
export async function replaceNode(invocation: Invocation): Promise<number> {
  const claimTtlMs = ttlOf(invocation);
  return asOperator(invocation.config.state.dir, async (operator) => {
    const { node } = await operator.nodes.getNode({ node: invocation.args[0] ?? "" });
    const name = nameItSaid(node?.name ?? "");
    const made = await operator.nodes.replaceNode({ nodeId: node?.id ?? "", claimTtlMs });
    return show(invocation, operator, { ...made, name });
  });
}

/** Lists what waits to be claimed or confirmed. */
export async function listCodes(invocation: Invocation): Promise<number> {
  const enrollments = await asOperator(invocation.config.state.dir, ({ nodes }) =>
    allPages(nodes.listEnrollmentCodes, (page) => page.enrollments),
  );
  const rows = enrollments.map(({ id, state, name, nodeId, expiresAt }) => ({
    id,
    state: Enrollment_State[state].toLowerCase(),
    name: name === "" ? null : name,
    node_id: nodeId === "" ? null : nodeId,
    expires_at: new Date(Number(expiresAt)).toISOString(),
  }));
  if (isSet(invocation, "json")) printJson(rows);
  else if (rows.length === 0) printLine("No code waits. To make one: gatehouse nodes enroll-code --name NAME");
  else
    printTable(
      ["ENROLLMENT", "STATE", "NAME", "EXPIRES"],
      rows.map((row) => [row.id, row.state, row.name ?? "any", row.expires_at]),
    );
  return 0;
}

/** Ends a code or an enrollment that waits. */
export async function cancelCode(invocation: Invocation): Promise<number> {
  const enrollmentId = invocation.args[0] ?? "";
  await asOperator(invocation.config.state.dir, ({ nodes }) => nodes.cancelEnrollment({ enrollmentId }));
  if (isSet(invocation, "json")) printJson({ enrollment_id: enrollmentId, state: "cancelled" });
  else printLine("Cancelled.");
  return 0;
}

async function show(invocation: Invocation, operator: Operator, made: MadeCode): Promise<number> {
  checkPin(operator, made.code);
  const { code, enrollmentId, name } = made;
  const expiresAt = new Date(Number(made.expiresAt)).toISOString();
  const out = textOption(invocation, "out");
  if (out !== undefined) await writeFileAtomic(out, `${code}\n`);
  if (isSet(invocation, "json")) printJson({ code, expires_at: expiresAt, enrollment_id: enrollmentId });
  else {
    printLine(out === undefined ? code : `Wrote the code to ${out}.`);
    // Beside the code, so that it alone goes into a file or a pipe.
    process.stderr.write(`It may be claimed once, until ${expiresAt}. On the host:\n`);
    const file = out === undefined ? "" : " --code-file FILE";
    process.stderr.write(`  gatehouse node enroll --server ${operator.server.url} --name ${name}${file}\n`);
  }
  return 0;
}

/** A server that named another organisation or key in a code would lead the host astray. */
function checkPin({ server }: Operator, code: string): void {
  const wanted = orgPin(server.identityKey, server.orgId, server.orgKey);
  if (base64url(parseCode("ghe", code).pin) === base64url(wanted)) return;
  throw new Problem("server.untrusted", { detail: "It made a code that does not name this organisation." });
}

function ttlOf(invocation: Invocation): bigint {
  return BigInt(readDuration(textOption(invocation, "ttl") ?? "15m", "--ttl"));
}
