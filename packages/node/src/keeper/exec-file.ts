import * as z from "zod";
import { terminalSchema } from "./launch-file.ts";

/** What a run's keeper is told of a further command, in a file of mode 0600 that it deletes after reading. */
export const execSchema = z.strictObject({
  execId: z.string(),
  /** Name of its socket without `.sock`. */
  keeper: z.string().regex(/^[0-9a-f]{16}$/),
  command: z.array(z.string()).min(1),
  /** Beside the run's own variables. */
  env: z.record(z.string(), z.string()),
  workdir: z.string(),
  /** 0: as long as it takes. */
  timeoutMs: z.number().int().min(0),
  /** Its streams are taken by whoever asked, at its socket; else its output is kept and its input given piece by piece. */
  isHeld: z.boolean(),
  /** Its streams are a terminal of this size. */
  terminal: terminalSchema.optional(),
});

export type ExecLaunch = Readonly<z.infer<typeof execSchema>>;

/** In the directory of the command, which is named after its socket. */
export const EXEC_FILE = "launch.json";
/** Below a run's directory. */
export const EXECS_FOLDER = "execs";
