import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import type { ProblemCode } from "@gatehouse/core";
import { PROBLEM_HEADER } from "@gatehouse/kit";
import { NodeAdminService } from "@gatehouse/wire";
import { expect, test } from "vitest";
import { cancelCommands } from "../src/commands/cancel-commands.ts";

/** A server that answers for each command as it is told; the ones that it was asked about. */
function serverThat(answers: Readonly<Record<string, ConnectError | undefined>>) {
  const asked: string[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(NodeAdminService, {
      cancelCommand: ({ commandId }) => {
        asked.push(commandId);
        const failure = answers[commandId];
        if (failure !== undefined) throw failure;
        return {};
      },
    });
  });
  return { asked, nodes: createClient(NodeAdminService, transport) };
}

function refusal(code: ProblemCode, rpc: Code): ConnectError {
  return new ConnectError("", rpc, { [PROBLEM_HEADER]: code });
}

const ENDED = refusal("commands.ended", Code.FailedPrecondition);

test("each command is tried, and the first that was not cancelled says how it ends", async () => {
  const { nodes } = serverThat({ b: ENDED, c: refusal("commands.not_found", Code.NotFound) });
  const done = await cancelCommands(nodes, ["a", "b", "c", "d"]);
  expect(done).toMatchObject({ cancelled: ["a", "d"], unknown: [], untried: [], failure: { code: "commands.ended" } });
  expect([...done.kept.keys()]).toEqual(["b", "c"]);
});

test.each([
  ["is lost", new ConnectError("", Code.Unavailable), "server.unreachable"],
  ["does not answer in time", new ConnectError("", Code.DeadlineExceeded), "server.timeout"],
  ["fails", refusal("internal", Code.Internal), "internal"],
])(
  "where the server %s, what was done is told from what is not known and what was not tried",
  async (_, failure, code) => {
    const { nodes, asked } = serverThat({ b: ENDED, c: failure });
    const done = await cancelCommands(nodes, ["a", "b", "c", "d"]);
    expect(done).toMatchObject({ cancelled: ["a"], unknown: ["c"], untried: ["d"], failure: { code } });
    expect([...done.kept.keys()]).toEqual(["b"]);
    expect(asked).toEqual(["a", "b", "c"]);
  },
);

test("who may not cancel is refused once, and nothing is unknown", async () => {
  const { nodes, asked } = serverThat({ a: refusal("auth.forbidden", Code.PermissionDenied) });
  const done = await cancelCommands(nodes, ["a", "b"]);
  expect(done).toMatchObject({ cancelled: [], unknown: [], untried: ["b"], failure: { code: "auth.forbidden" } });
  expect([...done.kept.keys()]).toEqual(["a"]);
  expect(asked).toEqual(["a"]);
});
