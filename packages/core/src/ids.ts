import { Problem } from "./problem.ts";

declare const brand: unique symbol;

/** One sandboxed execution: 1–128 of `[A-Za-z0-9._-]`, never `.` or `..`. */
export type RunId = string & { readonly [brand]: "RunId" };
/** Name of a grant, credential, policy, node or org: `^[a-z0-9][a-z0-9._-]{0,62}$` without `..`. */
export type ResourceName = string & { readonly [brand]: "ResourceName" };
/** One segment of an agent's full name: `^[a-zA-Z0-9][a-zA-Z0-9_-]*$`, at most 63 characters, no dots. */
export type NameSegment = string & { readonly [brand]: "NameSegment" };

const RUN_ID = /^(?!\.\.?$)[A-Za-z0-9._-]{1,128}$/;
const RESOURCE_NAME = /^(?!.*\.\.)[a-z0-9][a-z0-9._-]{0,62}$/;
const NAME_SEGMENT = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/;

/** The only place where a string becomes a `RunId`. Fails with `run.bad_id`. */
export function parseRunId(text: string): RunId {
  if (!RUN_ID.test(text)) throw new Problem("run.bad_id");
  return text as RunId;
}

/** The only place where a string becomes a `ResourceName`. Fails with `grants.invalid`. */
export function parseResourceName(text: string): ResourceName {
  if (!isResourceName(text)) {
    throw new Problem("grants.invalid", {
      detail: "A name starts with a lower-case letter or digit and holds at most 63 of a-z, 0-9, '.', '_', '-'.",
    });
  }
  return text as ResourceName;
}

/** Whether the text follows the rule of resource names. */
export function isResourceName(text: string): boolean {
  return RESOURCE_NAME.test(text);
}

/** The only place where a string becomes a `NameSegment`. Fails with `usage.invalid`. */
export function parseNameSegment(text: string): NameSegment {
  if (!NAME_SEGMENT.test(text)) {
    throw new Problem("usage.invalid", {
      detail: "A project or agent name starts with a letter or digit and holds at most 63 of a-z, A-Z, 0-9, '_', '-'.",
    });
  }
  return text as NameSegment;
}

/** Brings free text (a directory's or command's base name) into the segment rule, or `undefined` when nothing is left. */
export function toNameSegment(text: string): NameSegment | undefined {
  const kept = text
    .replace(/[^a-zA-Z0-9_-]+/g, "-")
    .replace(/^[^a-zA-Z0-9]+/, "")
    .slice(0, 63);
  return kept === "" ? undefined : (kept as NameSegment);
}
