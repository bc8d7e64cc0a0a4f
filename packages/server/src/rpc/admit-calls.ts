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

/** Hosts that wait for a confirmation at one server; each costs a stream and a look at the store every few seconds. */
const MAX_WAITING_HOSTS = 4_096;
const RETRY_AFTER_MS = 5_000;
/** What a guess fails with. A name that is taken, say, is found out by nobody without a valid code. */
const GUESSES: ReadonlySet<ProblemRow["rpc"]> = new Set(["unauthenticated", "invalid_argument", "not_found"]);

/** Calls of callers that are not known yet: failures are budgeted by address, and so many run at once. */
export function admitCalls({ budget, queue }: AdmitDeps): Interceptor {
  let waitingHosts = 0;
  return (next) => async (request) => {
    if (isKnownCaller(request)) return next(request);
    const address = request.contextValues.get(PEER_ADDRESS);
    const count = (failure: unknown) => {
      if (GUESSES.has(toProblem(failure).row.rpc)) budget.fail(address);
      return failure;
    };
    budget.check(address);
    checkRoom(request.stream ? waitingHosts : 0);
    try {
      const response = await queue.run(request.method.localName === "completeAuthHandshake", () => next(request));
      if (!response.stream) return response;
      waitingHosts += 1;
      const message = counted(response.message, count, () => {
        waitingHosts -= 1;
      });
      return { ...response, message };
    } catch (failure) {
      throw count(failure);
    }
  };
}

function checkRoom(waitingHosts: number): void {
  if (waitingHosts >= MAX_WAITING_HOSTS) throw new SlowDownProblem("server.busy", RETRY_AFTER_MS);
}

function isKnownCaller({ service, method }: Parameters<ReturnType<Interceptor>>[0]): boolean {
  const auth = callerRow(service.typeName, method.localName)?.auth;
  return auth !== "bootstrap" && auth !== "setup";
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
