import { create } from "@bufbuild/protobuf";
import { createLog } from "@gatehouse/kit";
import { createMessageCheck, OpenRunStreamSchema } from "@gatehouse/wire";
import { expect, test } from "vitest";
import { Attachments } from "../src/attachments/attachments.ts";
import type { Streamed } from "../src/runs/streamed.ts";
import type { NodeSession } from "../src/uplink/node-session.ts";
import { until } from "./until.ts";

const busy = expect.objectContaining({ code: "server.busy" });

/** A node's streams to a server that says nothing on them until `end` is called. */
function openAttachments() {
  const ending = Promise.withResolvers<void>();
  const calls: unknown[] = [];
  async function* runStream(outgoing: unknown) {
    calls.push(outgoing);
    await ending.promise;
    yield* [];
  }
  const run = { directory: "/nowhere", keeper: { streams: async () => undefined }, code: () => undefined };
  const attachments = new Attachments({
    streamed: () => run as unknown as Streamed,
    session: () => ({ gateway: { runStream } }) as unknown as NodeSession,
    check: createMessageCheck(),
    log: createLog({ level: "error", format: "text", write: () => undefined }),
  });
  let asked = 0;
  const open = (actor: string) => {
    asked += 1;
    attachments.open(create(OpenRunStreamSchema, { runId: "r1", attachmentId: `a${asked}` }), actor);
  };
  return { attachments, open, calls, end: ending.resolve };
}

test("no member has all of a node's streams; each place is free again when its stream is over", async () => {
  const { attachments, open, calls, end } = openAttachments();
  await using _ = attachments;
  for (let at = 0; at < 16; at += 1) open("operator:eve");
  expect(() => open("operator:eve")).toThrow(busy);
  for (const actor of ["operator:a", "operator:b", "operator:c"]) for (let at = 0; at < 16; at += 1) open(actor);
  expect(() => open("operator:d")).toThrow(busy);
  await until(() => calls.length === 64);
  end();
  await until(() => {
    try {
      open("operator:eve");
      return true;
    } catch {
      return false;
    }
  });
  await until(() => calls.length === 65);
});
