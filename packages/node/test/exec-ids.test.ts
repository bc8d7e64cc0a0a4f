import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { parseRunId, systemClock } from "@gatehouse/core";
import { createLog } from "@gatehouse/kit";
import { CommandPayloadSchema } from "@gatehouse/wire";
import { expect, test } from "vitest";
import { handlerOf } from "../src/commands/command-handlers.ts";
import { type NodeHandlerDeps, nodeHandlers } from "../src/commands/node-handlers.ts";
import { parseCreateRequest } from "../src/runs/create-request.ts";
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
  const execsDeps = { stateDir, files: execFiles, gate, clock: systemClock, log };
  const execs = await Execs.open({ ...execsDeps, sandboxes: runs });
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
  const request = (mark: string) =>
    parseCreateRequest({ command: ["true"], workspace: node.workspace, detach: true, env: { MARK: mark } });
  return Object.assign(node, { execs, execsDeps, request, command, exec, watched, own });
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

test("nothing takes the socket and directory of a run whose id comes to the same name, which is refused", async () => {
  await using node = await openNode();
  const { keeper } = node.runs.get(node.own);
  // Where a run of another id would be, were the two to come to one name.
  const record = { ...node.runs.get(node.watched), runId: "other", state: "exited", code: 0 } as const;
  const nameOf = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 16);
  for (const text of ["wanted", "exec/wanted"]) {
    const more = { policy: { mode: "strict" as const }, isCommanded: false };
    await node.files.create({ ...record, runId: `other-${text.length}`, keeper: nameOf(text) }, more);
  }
  const next = await node.openNext({ takesOver: true });
  const execs = await Execs.open({ ...node.execsDeps, sandboxes: next });
  const ofRun = () => readFile(join(node.files.directory(nameOf("wanted")), "run.json"), "utf8");
  const before = await ofRun();
  await expect(next.create(node.request("wanted"), { runId: parseRunId("wanted") })).rejects.toEqual(taken);
  const exec = parseExecRequest({ command: ["true"] });
  const asked = { execId: parseRunId("wanted"), isHeld: false, actor: "operator:eve" };
  await expect(execs.start(node.own, exec, asked)).rejects.toEqual(taken);
  const isHeld = (name: string) => name === nameOf("another");
  await expect(next.create(node.request("another"), { runId: parseRunId("another"), isHeld })).rejects.toEqual(taken);
  expect(await ofRun()).toBe(before);
  expect(node.gate.live.size).toBe(2);
  expect(next.get(node.own)).toMatchObject({ keeper, state: "running" });
});
