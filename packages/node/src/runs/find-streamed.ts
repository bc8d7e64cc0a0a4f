import { Problem } from "@gatehouse/core";
import type { Execs } from "./execs.ts";
import type { Sandboxes } from "./sandboxes.ts";
import type { FindStreamed } from "./streamed.ts";

/** Looks among this node's runs, and then the commands in them. */
export function streamedOf(
  sandboxes: Pick<Sandboxes, "has" | "streamed">,
  execs: Pick<Execs, "has" | "streamed">,
): FindStreamed {
  return (id) => {
    const isExec = execs.has(id) && !sandboxes.has(id);
    const found = isExec ? execs.streamed(id) : sandboxes.streamed(id);
    if (found === undefined) throw new Problem("runs.not_found", { detail: "It has its own streams." });
    return found;
  };
}
