import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { parseRunId, systemClock } from "@gatehouse/core";
import { createLog } from "@gatehouse/kit";
import { CommandPayloadSchema } from "@gatehouse/wire";
import { expect, test } from "vitest";
import { handlerOf } from "../src/commands/command-handlers.ts";
import { type NodeHandlerDeps, nodeHandlers } from "../src/commands/node-handlers.ts";
import { ExecFiles } from "../src/runs/exec-files.ts";
import { parseExecRequest } from "../src/runs/exec-request.ts";
import { Execs } from "../src/runs/execs.ts";
import { streamedOf } from "../src/runs/find-streamed.ts";
import { openRuns } from "./runs-under-test.ts";

const log = createLog({ level: "error", format: "text", write: () => undefined });

type Kind = NonNullable<MessageInitShape<typeof CommandPayloadSchema>["kind"]>;

/** A node with two runs, which does what commands ask for. */
async function openNode() {
  const node = await openRuns("unshare");
  const { stateDir, files, gate, runs } = node;
  const execFiles = new ExecFiles(files);
  const execs = await Execs.open({ stateDir, sandboxes: runs, files: execFiles, gate, clock: systemClock, log });
  // What else a node has is asked for by nothing here.
  const handlers = nodeHandlers({ stateDir, sandboxes: runs, execs, files } as NodeHandlerDeps, {} as never);
  const command = async (kind: Kind) => {
    const context = { commandId: "c", actor: "operator:eve", signal: AbortSignal.timeout(60_000) };
    return handlerOf(handlers, create(CommandPayloadSchema, { kind }))?.(context);
  };
  const exec = (runId: string, execId: string) =>
    execs.start(runId, parseExecRequest({ command: ["true"] }), {
      execId: parseRunId(execId),
      isHeld: false,
      actor: "operator:eve",
    });
  const watched = (await node.start("exec sleep 600")).run_id;
  const own = (await node.start("exec sleep 600")).run_id;
  return Object.assign(node, { execs, command, exec, watched, own });
}

const taken = expect.objectContaining({ code: "runs.id_taken" });

test("a further command takes no run's id, so that whoever stops the run stops that", async () => {
  await using node = await openNode();
  await expect(node.exec(node.own, node.watched)).rejects.toEqual(taken);
  expect(node.execs.has(node.watched)).toBe(false);
  await node.command({ case: "stopRun", value: { runId: node.watched } });
  expect(node.runs.get(node.watched)).toMatchObject({ state: "exited" });
  expect(node.runs.get(node.own)).toMatchObject({ state: "running" });
});

test("a run takes no further command's id", async () => {
  await using node = await openNode();
  await node.exec(node.own, "an-exec");
  await expect(node.command({ case: "startRun", value: { runId: "an-exec", command: ["true"] } })).rejects.toEqual(
    taken,
  );
  expect(node.runs.list()).toHaveLength(2);
});

test("where a run came to have a further command's id, the run is what is streamed", async () => {
  await using node = await openNode();
  const { run_id: shared } = await node.start("echo the run; exec sleep 600");
  const shadowed = { has: () => true, streamed: () => undefined };
  const streamed = streamedOf(node.runs, shadowed);
  expect(streamed(shared).directory).toBe(node.files.directory(node.runs.get(shared).keeper));
});
