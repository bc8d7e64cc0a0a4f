import { writeFileAtomic } from "@gatehouse/kit";
import { readHeldRoster } from "@gatehouse/node";
import { type Invocation, textOption } from "../invocation.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Prints the roster that this host holds its server to. Asks nobody. Fails with `enroll.not_enrolled`. */
export async function roster(invocation: Invocation): Promise<number> {
  const held = await readHeldRoster(invocation.config.state.dir);
  const out = textOption(invocation, "out");
  if (out === undefined) printJson(held);
  else {
    await writeFileAtomic(out, `${JSON.stringify(held)}\n`);
    printLine(`Wrote version ${held.version} to ${out}.`);
  }
  return 0;
}
