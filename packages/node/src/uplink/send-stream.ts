import { toProblem } from "@gatehouse/core";
import { toServerProblem } from "@gatehouse/kit";

/**
 * Makes a call whose request is a stream; `send` makes the stream anew each time. One that was refused for a nonce that
 * went stale is sent once more: the refusal brought a fresh one. Fails with the problem that the server named.
 */
export async function sendStream<T>(send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (failure) {
    const problem = toServerProblem(failure);
    if (toProblem(problem).code !== "auth.stale_nonce") throw problem;
  }
  return send().catch((failure: unknown) => {
    throw toServerProblem(failure);
  });
}
