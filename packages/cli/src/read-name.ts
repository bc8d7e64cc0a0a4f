import { isResourceName, Problem, parseResourceName, type ResourceName } from "@gatehouse/core";

/** A name as it was typed. Fails with `usage.invalid`, which says where it was given. */
export function readName(typed: string, where: string): ResourceName {
  if (isResourceName(typed)) return parseResourceName(typed);
  throw new Problem("usage.invalid", {
    detail: `${where} takes a name: it starts with a lower-case letter or digit and has at most 63 of a-z, 0-9, '.', '_', '-'.`,
  });
}
