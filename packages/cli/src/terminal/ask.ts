import { Problem } from "@gatehouse/core";

const USUAL_COLUMNS = 80;

/** Asks a person. Ctrl-C, Ctrl-D and a terminal that goes away fail with `usage.cancelled`, saying what did not happen. */
export async function ask(prompt: (signal: AbortSignal) => Promise<string | symbol>, undone: string): Promise<string> {
  // A terminal that does not know its width says 0: a line would hold nothing.
  if (process.stdout.columns === 0) process.stdout.columns = USUAL_COLUMNS;
  const given = new AbortController();
  const onKey = (_: unknown, key: { readonly name?: string; readonly ctrl?: boolean } | undefined) => {
    if (key?.ctrl === true && key.name === "d") given.abort();
  };
  const onEnd = () => given.abort();
  process.stdin.on("keypress", onKey).once("end", onEnd);
  try {
    const answer = await prompt(given.signal);
    if (typeof answer === "symbol") throw new Problem("usage.cancelled", { detail: undone });
    return answer;
  } finally {
    process.stdin.off("keypress", onKey).off("end", onEnd);
  }
}
