/** What one message of a sealed answer holds at most, for a host that takes pieces. It is ASCII. */
const PIECE_LENGTH = 262_144;

/** The messages of a sealed answer: one where it fits, or where the host knows no pieces. */
export function* splitSealed(sealed: string, takesPieces: boolean) {
  if (!takesPieces || sealed.length <= PIECE_LENGTH) {
    yield { sealed };
    return;
  }
  const sealedTotalBytes = BigInt(sealed.length);
  for (let at = 0; at < sealed.length; at += PIECE_LENGTH) {
    yield { sealed: sealed.slice(at, at + PIECE_LENGTH), sealedTotalBytes };
  }
}
