import { Problem } from "@gatehouse/core";

/** An entry is a few hundred bytes; what is longer is none. */
const MAX_LINE_BYTES = 1_048_576;
export const LINE_FEED = 0x0a;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** One line, and the offset of the byte behind its line feed. */
export interface Line {
  readonly text: string;
  readonly end: number;
}

/**
 * Lines of UTF-8 bytes, split at line feeds alone: text in an entry may hold every other line end. They come in groups,
 * since a log has millions. Bytes behind the last line feed are no line. Fails with `audit.tampered` at what is no text,
 * or too long; the lines before it have come by then.
 */
export async function* readLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<readonly Line[]> {
  let rest: Buffer = Buffer.alloc(0);
  let end = 0;
  for await (const chunk of chunks) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const { lines, fault } = split(bytes, end);
    if (lines.length > 0) yield lines;
    if (fault !== undefined) throw fault;
    const taken = (lines.at(-1)?.end ?? end) - end;
    end += taken;
    rest = bytes.subarray(taken);
    if (rest.length > MAX_LINE_BYTES) throw tooLong();
  }
}

function split(bytes: Buffer, start: number): { readonly lines: readonly Line[]; readonly fault?: unknown } {
  const lines: Line[] = [];
  let from = 0;
  try {
    for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, from)) {
      lines.push({ text: decode(bytes.subarray(from, at)), end: start + at + 1 });
      from = at + 1;
    }
  } catch (fault) {
    return { lines, fault };
  }
  return { lines };
}

function decode(bytes: Buffer): string {
  if (bytes.length > MAX_LINE_BYTES) throw tooLong();
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new Problem("audit.tampered", { detail: "A line is no text.", cause });
  }
}

function tooLong(): Problem {
  return new Problem("audit.tampered", { detail: "A line is too long to be one of a log." });
}
