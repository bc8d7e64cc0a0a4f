import { Problem } from "@gatehouse/core";
import { requestUnixOk } from "@gatehouse/kit";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { printJson, printLine } from "../terminal/print.ts";
import { readValue } from "../terminal/read-value.ts";

/** What the daemon says of a stored grant. */
export interface StoredGrant {
  readonly name: string;
  readonly service?: string;
  readonly bindings: readonly { readonly hosts: readonly string[]; readonly header: string }[];
}

/** Stores a service's credential under its template. */
export async function grant(invocation: Invocation): Promise<number> {
  const service = invocation.args[0] ?? "";
  const name = textOption(invocation, "name") ?? service;
  return storeGrant(invocation, { name, service });
}

/** What is to be stored: under a service's template, or for hosts of one's own. */
interface GrantRequest {
  readonly name: string;
  readonly service?: string;
  readonly bindings?: readonly {
    readonly hosts: readonly string[];
    readonly header: string;
    readonly format: string;
  }[];
}

/** Reads the value and hands it to the key-holder, which seals it. */
export async function storeGrant(invocation: Invocation, request: GrantRequest): Promise<number> {
  if (invocation.args.length > 1) {
    throw new Problem("usage.invalid", {
      detail:
        "A value is never taken from the command line, where others can read it. If this one is real, replace it.",
    });
  }
  const isReplaced = isSet(invocation, "replace");
  const value = await readValue(textOption(invocation, "valueFile"), request.name);
  const stored = (await requestUnixOk({
    socketPath: invocation.socketPath,
    method: "POST",
    path: "/v1/grants",
    body: { ...request, value, ...(isReplaced ? { replace: true } : {}) },
  })) as StoredGrant;
  if (isSet(invocation, "json")) printJson(stored);
  else {
    const places = stored.bindings.flatMap(({ hosts, header }) => hosts.map((host) => `${host} (${header})`));
    printLine(`Stored ${stored.name}: sealed to this node, for ${places.join(", ")}.`);
    if (isReplaced) printLine("Runs that had it use the new value from their next request on.");
    printLine(`Use it: gatehouse run --grant ${stored.name} -- COMMAND`);
  }
  return 0;
}
