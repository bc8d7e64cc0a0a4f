const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const CODES = Uint8Array.from(ALPHABET, (char) => char.charCodeAt(0));
/** By character code; what is no character of the alphabet is `NONE`. */
const NONE = 64;
const VALUES = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = CODES.indexOf(code);
  return value === -1 ? NONE : value;
});
const ascii = new TextDecoder();

/** Base64url without padding (RFC 4648 §5). */
export function base64url(bytes: Uint8Array): string {
  const codes = new Uint8Array(Math.ceil((bytes.length * 4) / 3));
  let length = 0;
  let held = 0;
  let heldBits = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    held = (held << 8) | (bytes[at] ?? 0);
    for (heldBits += 8; heldBits >= 6; length += 1) {
      heldBits -= 6;
      codes[length] = CODES[(held >> heldBits) & 63] ?? 0;
    }
    held &= (1 << heldBits) - 1;
  }
  if (heldBits > 0) codes[length] = CODES[(held << (6 - heldBits)) & 63] ?? 0;
  return ascii.decode(codes);
}

/**
 * The bytes of unpadded base64url; `undefined` for anything else. Endings whose spare bits are not zero are refused
 * too (RFC 4648 §3.5): two texts of one value would let a signature or a token be written in several ways.
 */
export function fromBase64url(text: string): Uint8Array | undefined {
  if (text.length % 4 === 1) return undefined;
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let length = 0;
  let held = 0;
  let heldBits = 0;
  for (let at = 0; at < text.length; at += 1) {
    const value = VALUES[text.charCodeAt(at)] ?? NONE;
    if (value === NONE) return undefined;
    held = (held << 6) | value;
    heldBits += 6;
    if (heldBits < 8) continue;
    heldBits -= 8;
    bytes[length] = held >> heldBits;
    length += 1;
    held &= (1 << heldBits) - 1;
  }
  return held === 0 ? bytes : undefined;
}
