import { Problem } from "@gatehouse/core";
import { type Invocation, textOption } from "../invocation.ts";

/** Where a credential for hosts of one's own goes, as it is asked for. */
interface AskedBinding {
  readonly hosts: readonly string[];
  readonly header: string;
  readonly format: string;
}

const MAX_NAME = 64;

/** Reads `--header` and `--format`. Fails with `usage.invalid` for what is no header's name. */
export function readBinding(invocation: Invocation, hosts: readonly string[]): AskedBinding {
  const header = textOption(invocation, "header") ?? "Authorization";
  const [name = ""] = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]*/.exec(header) ?? [];
  if (name !== header || name === "" || name.length > MAX_NAME) {
    // What follows may be a value that was pasted with its header.
    const what = name === "" || name.length > MAX_NAME ? "" : `, and nothing behind it, as there is behind ${name}`;
    throw new Problem("usage.invalid", { detail: `--header takes a header's name, as X-Api-Key${what}.` });
  }
  return { hosts, header, format: textOption(invocation, "format") ?? "Bearer {value}" };
}
