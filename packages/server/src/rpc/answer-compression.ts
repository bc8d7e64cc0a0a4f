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
