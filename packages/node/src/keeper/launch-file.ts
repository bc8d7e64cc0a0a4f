import * as z from "zod";

/** What a keeper is told, in a file of mode 0600 that it deletes after reading. It holds the run token. */
export const launchSchema = z.strictObject({
  runId: z.string(),
  stateDir: z.string(),
  keeper: z.string().regex(/^[0-9a-f]{16}$/),
  driver: z.enum(["bubblewrap", "unshare", "process"]),
  command: z.array(z.string()).min(1),
  workspace: z.string(),
  mounts: z.array(z.string()),
  /** Which directories workspace and mounts were when they were checked. */
  identities: z.record(z.string(), z.string()),
  env: z.record(z.string(), z.string()),
  runDir: z.string(),
  isTerminal: z.boolean(),
  /** Output goes to `output.log` of the run's directory. */
  isDetached: z.boolean(),
  /** Its standard input stays open for whoever attaches; else a detached run has none. */
  takesInput: z.boolean(),
});

export type Launch = Readonly<z.infer<typeof launchSchema>>;
