import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { PROBLEM_HEADER } from "@gatehouse/kit";
import {
  type AttachRunRequest,
  type AttachRunResponse,
  AttachRunResponseSchema,
  NodeAdminService,
  RunOutput_Stream,
} from "@gatehouse/wire";
import { expect, test } from "vitest";
import { type AttachOptions, RunAttachment } from "../src/operator/attach-run.ts";

type Requests = AsyncIterable<AttachRunRequest>;
type Answers = AsyncGenerator<AttachRunResponse>;

const HALF_A_MINUTE_MS = 30_000;
const opened = create(AttachRunResponseSchema, { message: { case: "opened", value: { inputOffset: 0n } } });
const exited = create(AttachRunResponseSchema, { message: { case: "exited", value: { code: 7 } } });
const AWAY = new ConnectError("it is away", Code.Unavailable, { [PROBLEM_HEADER]: "runs.away" });

test("streams that were there for long and broke are asked for again, from the byte at which they broke", async () => {
  const time = { ms: 0 };
  const offsets: unknown[] = [];
  const written: string[] = [];
  const attachment = attach(time, {
    write: async (_, bytes) => void written.push(Buffer.from(bytes).toString()),
    async *answer(requests) {
      const said = requests[Symbol.asyncIterator]();
      const { message } = (await said.next()).value;
      offsets.push(message.value.offset);
      yield opened;
      if (offsets.length > 1) return yield exited;
      yield outputOf("hello");
      await taken(said);
      time.ms += 10 * HALF_A_MINUTE_MS;
      throw AWAY;
    },
  });
  expect(await attachment.untilEnded()).toBe(7);
  expect({ offsets, written }).toEqual({ offsets: [0n, 5n], written: ["hello"] });
});

test("streams that do not come for half a minute are given up, and not before", async () => {
  const time = { ms: 0 };
  const attachment = attach(time, {
    async *answer() {
      time.ms += HALF_A_MINUTE_MS / 3;
      yield* away();
    },
  });
  await expect(attachment.untilEnded()).rejects.toMatchObject({ code: "runs.away" });
  expect(time.ms).toBe((4 * HALF_A_MINUTE_MS) / 3);
});

test("a signal that comes while the streams are away goes with the next ones, once", async () => {
  const said: string[] = [];
  const time = { ms: 0 };
  const attachment = attach(time, {
    onLost: () => {
      for (const name of ["SIGHUP", "SIGHUP"]) attachment.signal(name);
    },
    async *answer(requests) {
      yield opened;
      if (time.ms === 0) {
        yield outputOf("hello");
        await taken(requests[Symbol.asyncIterator]());
        time.ms = 1;
        throw AWAY;
      }
      for await (const { message } of requests) {
        if (message.case !== "signal") continue;
        said.push(message.value);
        if (message.value === "SIGTERM") return yield exited;
        attachment.signal("SIGTERM");
      }
    },
  });
  expect(await attachment.untilEnded()).toBe(7);
  expect({ said, isLeft: attachment.hasSignal }).toEqual({ said: ["SIGHUP", "SIGTERM"], isLeft: false });
});

test("an old node, which says of no terminal, is told of no window", async () => {
  const said: unknown[] = [];
  const attachment = attach(
    { ms: 0 },
    {
      onOpen: ({ hasTerminal }) => {
        if (hasTerminal) said.push("shown");
      },
      async *answer(requests) {
        yield opened;
        yield outputOf("hello");
        for await (const { message } of requests) {
          said.push(message.case);
          if (message.case === "signal") return yield exited;
        }
      },
      write: async () => {
        attachment.resize({ rows: 40, columns: 100 });
        attachment.signal("SIGTERM");
      },
    },
  );
  expect(await attachment.untilEnded()).toBe(7);
  expect(said).toEqual(["open", "outputCreditBytes", "signal"]);
});

interface Attached extends Pick<Partial<AttachOptions>, "onLost" | "onOpen" | "write"> {
  /** What a server says to each that attaches. */
  readonly answer: (requests: Requests) => Answers;
}

/** Somebody attached to a run at a server that answers so. */
function attach(time: { readonly ms: number }, { answer, ...options }: Attached): RunAttachment {
  const transport = createRouterTransport(({ service }) => service(NodeAdminService, { attachRun: answer }));
  const nodes = createClient(NodeAdminService, transport);
  return new RunAttachment({
    ...{ nodeId: "n", runId: "r", write: async () => undefined, ...options },
    clock: { now: () => time.ms, monotonicMs: () => time.ms },
    reach: (work) => work({ nodes }),
  });
}

function away(): Answers {
  throw AWAY;
}

/** Credit came twice: at the beginning, and for output that was written. */
async function taken(said: AsyncIterator<AttachRunRequest>): Promise<void> {
  for (let credits = 0; credits < 2; ) {
    const { value } = await said.next();
    if (value.message.case === "outputCreditBytes") credits += 1;
  }
}

function outputOf(text: string): AttachRunResponse {
  const value = { stream: RunOutput_Stream.STDOUT, offset: 0n, data: Buffer.from(text) };
  return create(AttachRunResponseSchema, { message: { case: "output", value } });
}
