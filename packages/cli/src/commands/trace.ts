import { Problem } from "@gatehouse/core";
import type { RequestRecord } from "@gatehouse/gate";
import { requestUnix, requestUnixOk, streamUnix } from "@gatehouse/kit";
import { isProbe } from "@gatehouse/node";
import { EXIT_INTERRUPTED } from "../call-program.ts";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { colour, printJson, printLine, shown } from "../terminal/print.ts";

/** Shows request records, one on a line; with --follow as they happen. */
export async function trace(invocation: Invocation): Promise<number> {
  const limit = limitOf(invocation);
  const query = new URLSearchParams({ limit });
  const [run] = invocation.args;
  if (run !== undefined) {
    await requireKnown(invocation, run);
    query.set("run", run);
  }
  if (isSet(invocation, "follow")) query.set("follow", "1");
  const stopped = new AbortController();
  process.once("SIGINT", () => stopped.abort());
  const lines = streamUnix({ socketPath: invocation.socketPath, path: `/v1/records?${query}`, signal: stopped.signal });
  try {
    const show = isSet(invocation, "json") ? printJson : (record: RequestRecord) => printLine(render(record));
    for await (const record of shownOf(lines, run)) show(record);
  } catch (failure) {
    if (!stopped.signal.aborted) throw failure;
  }
  return stopped.signal.aborted ? EXIT_INTERRUPTED : 0;
}

/** What `gatehouse doctor` asked for is shown to whoever asks for that run. */
async function* shownOf(lines: AsyncIterable<string>, run: string | undefined): AsyncGenerator<RequestRecord> {
  for await (const line of lines) {
    const record = JSON.parse(line) as RequestRecord;
    if (run !== undefined || !isProbe(record)) yield record;
  }
}

function limitOf(invocation: Invocation): string {
  const limit = textOption(invocation, "limit") ?? "100";
  if (!/^[0-9]{1,6}$/.test(limit)) throw new Problem("usage.invalid", { detail: "--limit takes a number." });
  return limit;
}

/** Fails with `runs.not_found` where no record, and nothing that is there or was kept, is of this run. */
export async function requireKnown({ socketPath }: Pick<Invocation, "socketPath">, runId: string): Promise<void> {
  const query = new URLSearchParams({ run: runId, limit: "1" });
  for await (const _ of streamUnix({ socketPath, path: `/v1/records?${query}` })) return;
  const started = await requestUnix({ socketPath, path: `/v1/sandboxes/${encodeURIComponent(runId)}` });
  const registered = (await requestUnixOk({ socketPath, path: "/v1/runs" })) as readonly { readonly run_id: string }[];
  if (started.status === 200 || registered.some(({ run_id }) => run_id === runId)) return;
  throw new Problem("runs.not_found", { detail: `${shown(runId)} is unknown.` });
}

const RUN_WIDTH = 16;

/** A record as a line for people. */
export function render(record: RequestRecord): string {
  const { time, run, method, url, status, decision, duration_ms } = record;
  const tint = decision === "allowed" ? "green" : decision === "denied" ? "red" : "yellow";
  const at = new Date(time).toISOString().slice(11, 23);
  const what = `${method.padEnd(7)} ${url === "" ? "-" : shown(url)}`;
  return [
    at,
    (run ?? "-").slice(0, RUN_WIDTH).padEnd(RUN_WIDTH),
    colour(String(status).padStart(3), tint),
    what,
    `${duration_ms} ms`,
    explained(record),
  ]
    .filter((part) => part !== "")
    .join("  ");
}

/** Why it was refused or cut and by which rule, and whose credentials went along: a request that is cut has both. */
function explained({ code, rule, grants }: RequestRecord): string {
  const refused = code === "gate.policy_denied" && rule !== undefined ? `${code} (${rule})` : code;
  return [refused, grants.length > 0 ? `with ${grants.join(", ")}` : undefined].filter(Boolean).join(" ");
}
