import { rename } from "node:fs/promises";
import { basename } from "node:path";

/**
 * Moves a damaged state file to `<name>.corrupt-<now>` beside it, so that nothing of it is lost, and returns what to
 * tell a person.
 */
export async function setAside(path: string, now: number): Promise<string> {
  const aside = `${path}.corrupt-${now}`;
  await rename(path, aside);
  return `${basename(path)} is damaged and was kept as ${basename(aside)}`;
}
