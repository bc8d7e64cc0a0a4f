import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { compressionGzip } from "@connectrpc/connect-node";

/**
 * How answers are compressed for who takes them so. What is asked is not taken compressed: before anybody is known, 4 KiB
 * would stand for 4 MiB.
 */
export const ANSWER_COMPRESSION: typeof compressionGzip = {
  ...compressionGzip,
  decompress: () => Promise.reject(new ConnectError("a message is compressed", Code.Unimplemented)),
};

/** By the header of a request that names how it is encoded: that of its answer which names how it may be. */
const TAKEN_IN = {
  "grpc-encoding": "grpc-accept-encoding",
  "content-encoding": "accept-encoding",
  "connect-content-encoding": "connect-accept-encoding",
} as const;

/** Says to whoever asks in another encoding which one is taken, as gRPC and Connect want it beside the refusal. */
export function nameTakenEncoding({ headers }: Http2ServerRequest, response: Http2ServerResponse): void {
  for (const [encodedIn, takenIn] of Object.entries(TAKEN_IN)) {
    if ((headers[encodedIn] ?? "identity") !== "identity") response.setHeader(takenIn, "identity");
  }
}
