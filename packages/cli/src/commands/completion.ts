import { COMPLETION_SCRIPTS, type Shell } from "../completion/scripts.ts";
import type { Invocation } from "../invocation.ts";

/** Prints the script that a shell loads; the command line lets no other shell through. */
export async function printCompletion({ args }: Invocation): Promise<number> {
  process.stdout.write(COMPLETION_SCRIPTS[args[0] as Shell]);
  return 0;
}
