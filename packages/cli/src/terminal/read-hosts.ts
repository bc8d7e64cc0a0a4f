import { Problem, parseHostPattern } from "@gatehouse/core";
import { type Invocation, listOption } from "../invocation.ts";
import { shown } from "./print.ts";

/** An option's hosts as they were given. What is none is said before anybody is asked. */
export function readHosts(invocation: Invocation, option: "allow" | "host"): readonly string[] {
  const hosts = listOption(invocation, option);
  for (const host of hosts) {
    try {
      parseHostPattern(host);
    } catch (cause) {
      throw new Problem("usage.invalid", { detail: `--${option} takes host or host:port, not ${shown(host)}.`, cause });
    }
  }
  return hosts;
}
