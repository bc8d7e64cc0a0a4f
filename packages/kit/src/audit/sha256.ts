import { hash } from "node:crypto";

/** SHA-256 as the audit rules want it. */
export function sha256(data: string | Uint8Array): Uint8Array {
  return hash("sha256", data, "buffer");
}
