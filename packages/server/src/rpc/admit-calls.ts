import type { Message } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { type ProblemRow, toProblem } from "@gatehouse/core";
import { callerRow } from "@gatehouse/wire";
import type { AdmissionQueue } from "./admission-queue.ts";
import { PEER_ADDRESS } from "./caller.ts";
import { type FailureBudget, SlowDownProblem } from "./failure-budget.ts";

export interface AdmitDeps {
  readonly budget: FailureBudget;
  readonly queue: AdmissionQueue;
}

/**
 * Streams of callers that are not known: hosts that wait for a confirmation, each of which costs a look at the store
 * every few seconds, and whoever watches the server's health.
 */
const MAX_STREAMS = { bootstrap: 4_096, setup: 0, anyone: 256 } as const;
const RETRY_AFTER_MS = 5_000;
/** What a guess fails with. A name that is taken, say, is found out by nobody without a valid code. */
const GUESSES: ReadonlySet<ProblemRow["rpc"]> = new Set(["unauthenticated", "invalid_argument", "not_found"]);

/** Does for a caller who is not known yet what anybody may ask for; a failure is counted by address. */
export async function admit<T>({ budget, queue }: AdmitDeps, address: string, work: () => Promise<T>): Promise<T> {
  budget.check(address);
  try {
    return await queue.run(false, work);
  } catch (failure) {
    if (GUESSES.has(toProblem(failure).row.rpc)) budget.fail(address);
    throw failure;
  }
}

/** Calls of callers that are not known yet: failures are budgeted by address, and so many run at once. */
export function admitCalls({ budget, queue }: AdmitDeps): Interceptor {
  const streams = { bootstrap: 0, setup: 0, anyone: 0 };
  return (next) => async (request) => {
    const kind = kindOfUnknown(request);
    if (kind === undefined) return next(request);
    const address = request.contextValues.get(PEER_ADDRESS);
    const count = (failure: unknown) => {
      if (GUESSES.has(toProblem(failure).row.rpc)) budget.fail(address);
      return failure;
    };
    budget.check(address);
    if (request.stream) checkRoom(streams[kind], MAX_STREAMS[kind]);
    try {
      const response = await queue.run(request.method.localName === "completeAuthHandshake", () => next(request));
      if (!response.stream) return response;
      streams[kind] += 1;
      const message = counted(response.message, count, () => {
        streams[kind] -= 1;
      });
      return { ...response, message };
    } catch (failure) {
      throw count(failure);
    }
  };
}

function checkRoom(open: number, limit: number): void {
  if (open >= limit) throw new SlowDownProblem("server.busy", RETRY_AFTER_MS);
}

/** By which row the caller is not known; `undefined`: it is about to be. */
function kindOfUnknown({ service, method }: Parameters<ReturnType<Interceptor>>[0]) {
  const auth = callerRow(service.typeName, method.localName)?.auth;
  return auth === "node" || auth === "operator" ? undefined : auth;
}

async function* counted(
  messages: AsyncIterable<Message>,
  count: (failure: unknown) => unknown,
  onEnd: () => void,
): AsyncGenerator<Message> {
  try {
    yield* messages;
  } catch (failure) {
    throw count(failure);
  } finally {
    onEnd();
  }
}
