import { Problem } from "@gatehouse/core";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { isOperators } from "../operator/is-operators.ts";
import { listOnNode } from "../operator/own-credentials.ts";
import { noteCleartext } from "../terminal/note-cleartext.ts";
import { printJson, printLine, printTable } from "../terminal/print.ts";
import { readBinding } from "../terminal/read-binding.ts";
import { readHosts } from "../terminal/read-hosts.ts";
import { storeGrant } from "./grant.ts";

/** Lists credentials by name; a value is never shown. */
export async function listCredentials(invocation: Invocation): Promise<number> {
  if (isOperators(invocation)) return (await import("./sealed-credentials.ts")).listSealed(invocation);
  const listed = await listOnNode(invocation.socketPath);
  if (isSet(invocation, "json")) printJson(listed);
  else if (listed.length === 0) printLine("No credentials. Store one: gatehouse grant github");
  else {
    printTable(
      ["NAME", "ORIGIN", "SERVICE", "STORED", "HOSTS"],
      listed.map(({ name, origin, service, created_at, hosts }) => [
        name,
        origin,
        service ?? "-",
        created_at.slice(0, 19).replace("T", " "),
        hosts.join(", "),
      ]),
    );
  }
  return 0;
}

/** Stores a credential for hosts of one's own, or under a service's template. */
export async function addCredential(invocation: Invocation): Promise<number> {
  if (textOption(invocation, "nodes") !== undefined) {
    if (!isOperators(invocation)) throw new Problem("org.not_joined");
    return (await import("./sealed-credentials.ts")).sealHere(invocation);
  }
  const name = invocation.args[0] ?? "";
  const service = textOption(invocation, "service");
  const hosts = readHosts(invocation, "host");
  if (service !== undefined && hosts.length > 0) {
    throw new Problem("usage.invalid", { detail: "Give --service or --host, not both." });
  }
  if (service !== undefined) return storeGrant(invocation, { name, service });
  if (hosts.length === 0) throw new Problem("usage.invalid", { detail: "Give --service, or --host with --header." });
  const binding = readBinding(invocation, hosts);
  noteCleartext(hosts);
  return storeGrant(invocation, { name, bindings: [binding] });
}
