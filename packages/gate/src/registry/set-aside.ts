import { link, rename } from "node:fs/promises";
import { basename } from "node:path";

/**
 * Moves a damaged state file to `<name>.corrupt-<now>` beside it, so that nothing of it is lost, and returns what to
 * tell a person.
 */
export async function setAside(path: string, now: number): Promise<string> {
  return keepAs(path, now, rename);
}

/** The same of a file that stands in its place until another one replaces it: a crash between leaves it there. */
export async function keepCopy(path: string, now: number): Promise<string> {
  return keepAs(path, now, link);
}

async function keepAs(path: string, now: number, keep: typeof rename): Promise<string> {
  const aside = `${path}.corrupt-${now}`;
  await keep(path, aside);
  return `${basename(path)} is damaged and was kept as ${basename(aside)}`;
}
