/** Crockford's base 32: no I, L, O, U. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHARACTERS = 20;
const GROUP = 5;

/** The first 100 bits of a SHA-256, 5 to a character, in groups of 5: `XXXXX-XXXXX-XXXXX-XXXXX`. */
export function formatFingerprint(sha256: Uint8Array): string {
  let text = "";
  for (let index = 0; index < CHARACTERS; index += 1) {
    if (index > 0 && index % GROUP === 0) text += "-";
    text += ALPHABET[fiveBits(sha256, index * 5)];
  }
  return text;
}

/** Whether a person's text is this fingerprint. Case, hyphens and spaces do not matter; O reads 0, I and L read 1. */
export function isFingerprint(text: string, sha256: Uint8Array): boolean {
  const typed = text.toUpperCase().replace(/[\s-]/g, "").replaceAll("O", "0").replace(/[IL]/g, "1");
  const wanted = formatFingerprint(sha256).replaceAll("-", "");
  let difference = typed.length ^ wanted.length;
  for (let index = 0; index < wanted.length; index += 1) {
    difference |= wanted.charCodeAt(index) ^ (typed.charCodeAt(index) || 0);
  }
  return difference === 0;
}

function fiveBits(bytes: Uint8Array, from: number): number {
  const at = from >> 3;
  const pair = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  return (pair >> (11 - (from & 7))) & 31;
}
