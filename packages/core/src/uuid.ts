import { toHex } from "./encoding/text.ts";
import type { Random } from "./random.ts";

/** A UUIDv7 (RFC 9562 §5.7), lower case: Unix milliseconds, then random bits. */
export function makeUuid(nowMs: number, random: Random): string {
  const bytes = random.bytes(16);
  new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(0, (BigInt(nowMs) << 16n) | BigInt(low16(bytes)));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = toHex(bytes);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function low16(bytes: Uint8Array): number {
  return ((bytes[6] ?? 0) << 8) | (bytes[7] ?? 0);
}
