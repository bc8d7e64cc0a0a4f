import type { Message } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { type ProblemRow, toProblem } from "@gatehouse/core";
import { callerRow } from "@gatehouse/wire";
import type { AdmissionQueue } from "../limits/admission-queue.ts";
import type { FailureBudget } from "../limits/failure-budget.ts";
import { networkOf } from "../limits/network-of.ts";
import { StreamPlaces } from "../limits/stream-places.ts";
import { PEER_ADDRESS } from "./caller.ts";

export interface AdmitDeps {
  readonly budget: FailureBudget;
  readonly queue: AdmissionQueue;
}

/** Hosts that wait for a confirmation, each of which costs a look at the store every few seconds; many share an address. */
const WAITING_HOSTS = { total: 4_096, ofNetwork: 1_024 } as const;
/** Whoever watches the server's health. */
const HEALTH_WATCHERS = { total: 256, ofNetwork: 32 } as const;
const NO_STREAMS = { total: 0, ofNetwork: 0 } as const;
/** What a guess fails with. A name that is taken, say, is found out by nobody without a valid code. */
const GUESSES: ReadonlySet<ProblemRow["rpc"]> = new Set(["unauthenticated", "invalid_argument", "not_found"]);

/** Does for a caller who is not known yet what anybody may ask for; a failure is counted by network. */
export function admit<T>(deps: AdmitDeps, address: string, work: () => Promise<T>): Promise<T> {
  return inTurn(deps, { network: networkOf(address), isFirst: false }, work);
}

async function inTurn<T>(
  { budget, queue }: AdmitDeps,
  { network, isFirst }: { readonly network: string; readonly isFirst: boolean },
  work: () => Promise<T>,
): Promise<T> {
  budget.check(network);
  return queue.run(isFirst, async () => {
    // Guesses that came all at once waited together: what those before them failed with counts now.
    budget.check(network);
    try {
      return await work();
    } catch (failure) {
      throw counted(failure, { budget, network });
    }
  });
}

/** Calls of callers that are not known yet: failures are budgeted by network, and so many run at once. */
export function admitCalls(deps: AdmitDeps): Interceptor {
  const places = {
    bootstrap: new StreamPlaces(WAITING_HOSTS),
    setup: new StreamPlaces(NO_STREAMS),
    anyone: new StreamPlaces(HEALTH_WATCHERS),
  };
  return (next) => async (request) => {
    const kind = kindOfUnknown(request);
    if (kind === undefined) return next(request);
    const network = networkOf(request.contextValues.get(PEER_ADDRESS));
    using place = new DisposableStack();
    if (request.stream) place.defer(places[kind].take(network));
    const isFirst = request.method.localName === "completeAuthHandshake";
    const response = await inTurn(deps, { network, isFirst }, () => next(request));
    if (!response.stream) return response;
    return { ...response, message: untilEnded(response.message, { budget: deps.budget, network }, place.move()) };
  };
}

interface Guesser {
  readonly budget: FailureBudget;
  readonly network: string;
}

function counted(failure: unknown, { budget, network }: Guesser): unknown {
  if (GUESSES.has(toProblem(failure).row.rpc)) budget.spend(network);
  return failure;
}

/** By which row the caller is not known; `undefined`: it is about to be. */
function kindOfUnknown({ service, method }: Parameters<ReturnType<Interceptor>>[0]) {
  const auth = callerRow(service.typeName, method.localName)?.auth;
  return auth === "node" || auth === "operator" ? undefined : auth;
}

async function* untilEnded(
  messages: AsyncIterable<Message>,
  guesser: Guesser,
  place: Disposable,
): AsyncGenerator<Message> {
  using _ = place;
  try {
    yield* messages;
  } catch (failure) {
    throw counted(failure, guesser);
  }
}
