import { type FileHandle, open, readFile } from "node:fs/promises";

const CHUNK_BYTES = 4 * 1_048_576;

/**
 * How often a text stands in the readable memory of a process, as UTF-8 or UTF-16 (both are how V8 keeps strings).
 * Needs the right to trace it. Throws when the process is gone or not a single region could be read.
 */
export async function countInMemory(pid: number, text: string): Promise<number> {
  const needles = [Buffer.from(text, "utf8"), Buffer.from(text, "utf16le")];
  const regions = parseRegions(await readFile(`/proc/${pid}/maps`, "utf8"));
  await using memory = await open(`/proc/${pid}/mem`, "r");
  let found = 0;
  let bytes = 0;
  for (const region of regions) {
    for await (const part of readRegion(memory, region)) {
      bytes += part.length;
      for (const needle of needles) found += countIn(part, needle);
    }
  }
  if (bytes === 0) throw new Error(`nothing of process ${pid} could be read`);
  return found;
}

interface Region {
  readonly start: number;
  readonly end: number;
}

/** Readable regions, without the kernel's own pages (which no process can write a secret into). */
function parseRegions(maps: string): readonly Region[] {
  return maps.split("\n").flatMap((line) => {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r\S{3} \S+ \S+ \S+\s*(.*)$/.exec(line);
    if (match === null || match[3] === "[vvar]" || match[3] === "[vsyscall]") return [];
    return [{ start: Number.parseInt(match[1] ?? "", 16), end: Number.parseInt(match[2] ?? "", 16) }];
  });
}

/** Parts overlap by `OVERLAP` so that a text across a border is seen; a needle within the overlap may count twice. */
const OVERLAP = 512;

async function* readRegion(memory: FileHandle, { start, end }: Region): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let at = start; at < end; at += CHUNK_BYTES - OVERLAP) {
    const length = Math.min(CHUNK_BYTES, end - at);
    const bytesRead = await memory.read(buffer, 0, length, at).then(
      (result) => result.bytesRead,
      // Regions vanish while a live process is read, and device mappings cannot be read at all.
      () => 0,
    );
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    if (at + length >= end) return;
  }
}

function countIn(haystack: Buffer, needle: Buffer): number {
  let count = 0;
  for (let at = haystack.indexOf(needle); at >= 0; at = haystack.indexOf(needle, at + 1)) count += 1;
  return count;
}
