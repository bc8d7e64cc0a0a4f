// A string, with the colon that makes it a name; or the beginning or end of an object or array.
const TOKEN = /"((?:[^"\\]|\\.)*)"[ \t\r\n]*(:?)|[{}[\]]/g;
const BEGINS: ReadonlySet<string> = new Set(["{", "["]);
const ENDS: ReadonlySet<string> = new Set(["}", "]"]);

/**
 * Whether an object of a text that is JSON has two members of one name: readers differ on which of them holds (RFC 8259
 * §4). Names that are escaped in different ways are one.
 */
export function repeatsName(json: string): boolean {
  const open: Set<string>[] = [];
  for (const [token, text = "", colon] of json.matchAll(TOKEN)) {
    if (colon === ":") {
      const names = open.at(-1) ?? new Set();
      const before = names.size;
      if (names.add(nameOf(text)).size === before) return true;
    } else if (BEGINS.has(token)) open.push(new Set());
    else if (ENDS.has(token)) open.pop();
  }
  return false;
}

function nameOf(text: string): string {
  return text.includes("\\") ? String(JSON.parse(`"${text}"`)) : text;
}
