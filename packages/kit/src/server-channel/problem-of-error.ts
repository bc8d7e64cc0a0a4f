import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { PROBLEMS, Problem, type ProblemCode } from "@gatehouse/core";

/** The name of a problem on the wire, beside the RPC code. */
export const PROBLEM_HEADER = "gatehouse-problem";
/** The nonce for a node's next proof (RFC 9449 §8). */
export const NONCE_HEADER = "DPoP-Nonce";
/** The one batch of an upload for which it was refused: its source and its offset, a space between. */
export const BATCH_HEADER = "gatehouse-batch";

/** A batch of a node's reports. */
export interface NamedBatch {
  readonly source: string;
  readonly offset: number;
}

/** A refusal by the server. */
export class ServerProblem extends Problem {
  /** For the next proof; empty where there is none. */
  readonly nonce: string;
  /** `undefined`: the refusal names none. */
  readonly batch: NamedBatch | undefined;

  constructor(code: ProblemCode, options: { readonly detail?: string; readonly cause: ConnectError }) {
    super(code, options);
    this.nonce = options.cause.metadata.get(NONCE_HEADER) ?? "";
    this.batch = readBatch(options.cause.metadata.get(BATCH_HEADER) ?? "");
  }
}

function readBatch(text: string): NamedBatch | undefined {
  const [, source, digits] = /^([a-z0-9][a-z0-9._-]{0,62}) (0|[1-9][0-9]{0,15})$/.exec(text) ?? [];
  const offset = Number(digits);
  return source !== undefined && Number.isSafeInteger(offset) ? { source, offset } : undefined;
}

/** Turns what the server refuses back into the problem that it named. */
export const problemsOf: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: translated(response.message) } : response;
  } catch (failure) {
    throw toServerProblem(failure);
  }
};

/** A stream fails after its call was answered. */
async function* translated<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (failure) {
    throw toServerProblem(failure);
  }
}

/** The problem that an RPC's failure stands for. What is none of ours passes as it is. */
export function toServerProblem(failure: unknown): unknown {
  if (!(failure instanceof ConnectError)) return failure;
  if (failure.cause instanceof Problem) return failure.cause;
  const named = failure.metadata.get(PROBLEM_HEADER) ?? "";
  if (Object.hasOwn(PROBLEMS, named)) return ofName(named as ProblemCode, failure);
  if (failure.code === Code.DeadlineExceeded) return new ServerProblem("server.timeout", { cause: failure });
  if (failure.code === Code.Canceled || failure.code === Code.Unavailable) {
    return new ServerProblem("server.unreachable", { cause: failure });
  }
  if (failure.code === Code.Unimplemented) return new ServerProblem("api.not_supported", { cause: failure });
  return new ServerProblem("server.unreachable", { detail: "It answered in a way that is not known.", cause: failure });
}

function ofName(code: ProblemCode, cause: ConnectError): ServerProblem {
  // What follows the table's sentence is the detail; text from the server is shown as text.
  const { say } = PROBLEMS[code];
  const detail = cause.rawMessage.startsWith(`${say} `) ? cause.rawMessage.slice(say.length + 1) : undefined;
  return new ServerProblem(code, { cause, ...(detail === undefined ? {} : { detail }) });
}
