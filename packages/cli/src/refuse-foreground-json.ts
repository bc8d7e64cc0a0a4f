import { Problem } from "@gatehouse/core";
import { type Invocation, isSet } from "./invocation.ts";

/** A foreground run's output is the command's: nothing of ours may stand in it. Fails with `usage.invalid`. */
export function refuseForegroundJson(invocation: Invocation): void {
  if (isSet(invocation, "detach") || !isSet(invocation, "json")) return;
  throw new Problem("usage.invalid", {
    detail: "A foreground run's output is the command's; --json goes with --detach.",
  });
}
