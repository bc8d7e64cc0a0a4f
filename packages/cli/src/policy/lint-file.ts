import { findInnerKey, type LintFinding, lintPolicy } from "@gatehouse/core";
import { isSharedSuffix } from "@gatehouse/gate";
import type { PlacedFile } from "./policy-file.ts";

/** Looks a policy file through: what a person may not write in one is all that is said then. */
export function lintFile({ value }: PlacedFile): readonly LintFinding[] {
  const inner = findInnerKey(value);
  if (inner !== undefined) return [{ level: "error", code: "invalid", ...inner }];
  return lintPolicy(value, { isSharedSuffix });
}
