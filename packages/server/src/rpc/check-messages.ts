import type { DescMessage, Message } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import type { CheckMessage } from "@gatehouse/wire";

/** Holds what comes in to the rules beside its fields: whole messages, and each message of a stream. */
export function checkMessages(check: CheckMessage): Interceptor {
  return (next) => async (request) => {
    if (!request.stream) {
      check(request.method.input, request.message);
      return next(request);
    }
    return next({ ...request, message: checked(request.message, request.method.input, check) });
  };
}

async function* checked(messages: AsyncIterable<Message>, schema: DescMessage, check: CheckMessage) {
  for await (const message of messages) {
    check(schema, message);
    yield message;
  }
}
