import { NodeGatewayService } from "@gatehouse/wire";
import type { ServerContext } from "../../server-context.ts";
import { type PlainMethod, plainBidi, plainServerStream, plainUnary } from "../plain-grpc/plain-method.ts";
import { fetchBundle } from "./fetch-bundle.ts";
import { handshakeMethods } from "./handshake-methods.ts";
import { controlStream } from "./session-methods.ts";

const {
  beginAuthHandshake,
  completeAuthHandshake,
  fetchBundle: fetch,
  controlStream: stream,
} = NodeGatewayService.method;

/** What a large fleet calls at once after a restart or a change: answered without the library where the call is plain. */
export function plainMethods(server: ServerContext): readonly PlainMethod[] {
  const handshake = handshakeMethods(server);
  return [
    plainUnary(beginAuthHandshake, handshake.beginAuthHandshake),
    plainUnary(completeAuthHandshake, handshake.completeAuthHandshake),
    plainServerStream(fetch, fetchBundle(server)),
    plainBidi(stream, controlStream(server)),
  ];
}
