import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * Paths of the files below a directory that hold the text, in UTF-8 or base64 of any alignment. Directories in `except`
 * are left out with all that is below them.
 */
export async function findInFiles(
  directory: string,
  text: string,
  { except = [] }: { readonly except?: readonly string[] } = {},
): Promise<readonly string[]> {
  const needles = [text, ...base64Forms(text)].map((form) => Buffer.from(form));
  const found: string[] = [];
  for await (const path of filesBelow(directory, new Set(except))) {
    // A file that went away between listing and reading holds nothing.
    const content = await readFile(path).catch(() => Buffer.alloc(0));
    if (needles.some((needle) => content.includes(needle))) found.push(path);
  }
  return found;
}

async function* filesBelow(directory: string, except: ReadonlySet<string>): AsyncGenerator<string> {
  const waiting = await readdir(directory, { withFileTypes: true });
  for (let entry = waiting.pop(); entry !== undefined; entry = waiting.pop()) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) yield path;
    if (!entry.isDirectory() || except.has(path)) continue;
    // So does a directory.
    waiting.push(...(await readdir(path, { withFileTypes: true }).catch(() => [])));
  }
}

/** How the text looks inside base64 at each of the three alignments, without the characters its neighbours decide. */
function base64Forms(text: string): readonly string[] {
  return [0, 1, 2].map((shift) => {
    const encoded = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)]).toString("base64");
    return encoded.slice(shift === 0 ? 0 : 4, -4);
  });
}
