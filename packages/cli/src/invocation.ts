import type { Problem } from "@gatehouse/core";
import type { Config } from "@gatehouse/kit";

/** A command as it was called: its arguments and options, and how to reach the daemon. */
export interface Invocation {
  readonly args: readonly string[];
  /** Options by their long name in camel case. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly config: Config;
  readonly socketPath: string;
  /** Why the configuration cannot be read; then these are the defaults. Only `doctor` is called like that. */
  readonly configFault?: Problem;
}

/** An option that is a text. */
export function textOption({ options }: Invocation, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}

/** An option that may be repeated. */
export function listOption({ options }: Invocation, name: string): readonly string[] {
  const value = options[name];
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

/** A switch. */
export function isSet({ options }: Invocation, name: string): boolean {
  return options[name] === true;
}
