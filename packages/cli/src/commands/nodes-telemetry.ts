import { Problem, systemClock } from "@gatehouse/core";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { asOperator } from "../operator/open-operator.ts";
import { note, printJson, printTable, shown } from "../terminal/print.ts";
import { readDuration } from "../terminal/read-duration.ts";

const MAX_SAMPLES = 10_000;

/** Prints what a node measured, by time. */
export async function telemetry(invocation: Invocation): Promise<number> {
  const [asked = ""] = invocation.args;
  const to = systemClock.now();
  const from = to - readDuration(textOption(invocation, "since") ?? "1h", "--since");
  const { samples, gaps } = await asOperator(invocation.config.state.dir, async ({ nodes }) => {
    const { node } = await nodes.getNode({ node: asked });
    const query = { nodeId: node?.id ?? "", name: textOption(invocation, "name") ?? "", limit: limitOf(invocation) };
    return nodes.queryTelemetry({ ...query, from: BigInt(from), to: BigInt(to) });
  });
  const rows = samples.map(({ time, name, runId, value }) => ({
    time: new Date(Number(time)).toISOString(),
    name,
    ...(runId === "" ? {} : { run: runId }),
    value,
  }));
  if (isSet(invocation, "json")) for (const row of rows) printJson(row);
  else
    printTable(
      ["TIME", "NAME", "RUN", "VALUE"],
      rows.map(({ time, name, run, value }) => [time, name, run ?? "-", String(value)]),
    );
  for (const { source, batches } of gaps) note(`${batches} batches of ${shown(source)} were lost on the node`);
  return 0;
}

function limitOf(invocation: Invocation): number {
  const limit = Number(textOption(invocation, "limit") ?? "1000");
  if (Number.isInteger(limit) && limit > 0 && limit <= MAX_SAMPLES) return limit;
  throw new Problem("usage.invalid", { detail: `--limit takes 1 to ${MAX_SAMPLES}.` });
}
