import { request } from "node:http";
import { pipeline } from "node:stream/promises";
import { PROBLEMS, Problem, type ProblemCode } from "@gatehouse/core";
import { type Invocation, isSet } from "../invocation.ts";
import { findRun, followFleetRun, isElsewhere } from "../operator/fleet-runs.ts";
import { watchRun } from "../operator/hold-run.ts";
import { asOperator } from "../operator/open-operator.ts";
import { writeOut } from "../terminal/write-out.ts";

/** Prints what a detached run wrote, byte for byte; with --follow until it ends. */
export async function logs(invocation: Invocation): Promise<number> {
  const { dir } = invocation.config.state;
  const [asked = ""] = invocation.args;
  if (await isElsewhere(invocation, asked)) return fleetLogs(dir, invocation);
  const runId = encodeURIComponent(asked);
  const path = `/v1/sandboxes/${runId}/logs${isSet(invocation, "follow") ? "?follow" : ""}`;
  const answer = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
    const call = request({ socketPath: invocation.socketPath, path }, resolve);
    call.once("error", (cause) => reject(new Problem("daemon.unreachable", { cause })));
    call.end();
  });
  if (answer.statusCode !== 200) throw await problemOf(answer);
  await pipeline(answer, process.stdout, { end: false });
  return 0;
}

/** The same of a run on a node of the organisation. */
async function fleetLogs(stateDir: string, invocation: Invocation): Promise<number> {
  const follows = isSet(invocation, "follow");
  const { runId, nodeId } = await asOperator(stateDir, async (operator) => {
    const run = await findRun(operator, invocation.args[0] ?? "");
    if (!follows) await followFleetRun(operator, { ...run, follows, write: writeOut });
    return run;
  });
  if (follows) await watchRun({ stateDir, runId, nodeId });
  return 0;
}

async function problemOf(answer: AsyncIterable<Buffer>): Promise<Problem> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  const { code } = JSON.parse(Buffer.concat(chunks).toString()) as { readonly code?: string };
  return new Problem(code !== undefined && code in PROBLEMS ? (code as ProblemCode) : "internal");
}
