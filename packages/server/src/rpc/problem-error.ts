import { Code, ConnectError } from "@connectrpc/connect";
import { type ProblemRow, toProblem } from "@gatehouse/core";
import { BATCH_HEADER, NONCE_HEADER, PROBLEM_HEADER } from "@gatehouse/kit";
import { SlowDownProblem } from "../limits/slow-down-problem.ts";
import { RefusedBatch } from "../reports/refused-batch.ts";
import { NonceProblem } from "./nonce-problem.ts";

const CODES: Readonly<Record<ProblemRow["rpc"], Code>> = {
  invalid_argument: Code.InvalidArgument,
  unauthenticated: Code.Unauthenticated,
  permission_denied: Code.PermissionDenied,
  not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  failed_precondition: Code.FailedPrecondition,
  resource_exhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
  deadline_exceeded: Code.DeadlineExceeded,
  unimplemented: Code.Unimplemented,
  internal: Code.Internal,
};

/** What a caller sees of a failure: the public sentence and the problem's code. Everything else leaves as `internal`. */
export function toConnectError(thrown: unknown): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  const problem = toProblem(thrown);
  const error = new ConnectError(problem.message, CODES[problem.row.rpc]);
  error.metadata.set(PROBLEM_HEADER, problem.code);
  if (problem instanceof NonceProblem) error.metadata.set(NONCE_HEADER, problem.nonce);
  if (problem instanceof RefusedBatch) error.metadata.set(BATCH_HEADER, `${problem.source} ${problem.offset}`);
  if (problem instanceof SlowDownProblem) {
    error.metadata.set("retry-after", String(Math.ceil(problem.retryAfterMs / 1_000)));
  }
  return error;
}
