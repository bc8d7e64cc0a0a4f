import type { Interceptor } from "@connectrpc/connect";
import type { CheckMessage } from "@gatehouse/wire";
import { passAlong } from "./pass-along.ts";

/** Holds what comes in to the rules beside its fields: whole messages, and each message of a stream. */
export function checkMessages(check: CheckMessage): Interceptor {
  return (next) => async (request) => {
    if (!request.stream) {
      check(request.method.input, request.message);
      return next(request);
    }
    const { input } = request.method;
    return next({ ...request, message: passAlong(request.message, { onItem: (message) => check(input, message) }) });
  };
}
