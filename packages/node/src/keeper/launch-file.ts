import * as z from "zod";

/** In the run's directory. */
export const LAUNCH_FILE = "launch.json";

/** In characters. */
export const terminalSchema = z.strictObject({
  rows: z.number().int().min(1).max(65_535),
  columns: z.number().int().min(1).max(65_535),
});

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
  /** Of a detached run whose streams are a terminal. */
  terminal: terminalSchema.optional(),
  /** Output goes to `output.log` of the run's directory. */
  isDetached: z.boolean(),
  /** Its standard input stays open for whoever attaches; else a detached run has none. */
  takesInput: z.boolean(),
});

export type Launch = Readonly<z.infer<typeof launchSchema>>;
