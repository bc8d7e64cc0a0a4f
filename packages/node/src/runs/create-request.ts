import { basename } from "node:path";
import { type NetworkPolicyInput, Problem, parseNameSegment, toNameSegment } from "@gatehouse/core";
import * as z from "zod";

/** Text that may become an argument: a NUL would end it, and begin another one for the tool that builds the sandbox. */
export const argument = z
  .string()
  .max(131_072)
  .refine((text) => !text.includes("\0"), "a NUL cannot be passed on");
const path = argument.refine((text) => text.startsWith("/"), "a path must be absolute");

const createSchema = z.strictObject({
  command: z.array(argument).min(1).max(4_096),
  workspace: path,
  mounts: z.array(path).max(64).default([]),
  grants: z.array(z.string()).max(64).default([]),
  /** As written in a policy file; `compilePolicy` reads it strictly. */
  policy: z.custom<NetworkPolicyInput>((value) => typeof value === "object" && value !== null).optional(),
  allow: z.array(z.string()).max(10_000).default([]),
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), argument).default({}),
  driver: z.enum(["bubblewrap", "unshare", "process"]).optional(),
  project: z.string().optional(),
  agent: z.string().optional(),
  detach: z.boolean().default(false),
  tty: z.boolean().default(false),
});

/** What `POST /v1/sandboxes` asks for. */
export interface CreateRequest extends Omit<z.infer<typeof createSchema>, "policy" | "project" | "agent"> {
  readonly policy: NetworkPolicyInput;
  readonly project: string | undefined;
  readonly agent: string | undefined;
}

/** Reads a request strictly; names default to the workspace's and the command's. Fails with `api.malformed`. */
export function parseCreateRequest(body: unknown): CreateRequest {
  const parsed = createSchema.safeParse(body);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Problem("api.malformed", { detail: `${issue?.path.join(".") ?? "body"}: ${issue?.message ?? "wrong"}.` });
  }
  const { policy, project, agent, ...rest } = parsed.data;
  return {
    ...rest,
    policy: { mode: "strict", ...policy, allow: [...(policy?.allow ?? []), ...rest.allow] },
    project: project === undefined ? toNameSegment(basename(rest.workspace)) : nameOrNone(project),
    agent: agent === undefined ? toNameSegment(basename(rest.command[0] ?? "")) : nameOrNone(agent),
  };
}

/** An empty project is legal and means none. */
function nameOrNone(text: string): string | undefined {
  return text === "" ? undefined : parseNameSegment(text);
}
