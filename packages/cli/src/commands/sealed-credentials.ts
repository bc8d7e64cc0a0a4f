import { type BoundCredential, type CredentialBinding, makeUuid, Problem, systemRandom } from "@gatehouse/core";
import { loadTemplates, parseCredentialValue, requireBindings } from "@gatehouse/gate";
import { readBindings, sealCredential } from "@gatehouse/kit";
import { type Invocation, isSet, listOption, textOption } from "../invocation.ts";
import { allNodes, allPages } from "../operator/all-pages.ts";
import { chooseSigner } from "../operator/choose-signer.ts";
import { asOperator } from "../operator/open-operator.ts";
import { listOwn } from "../operator/own-credentials.ts";
import { provenCredential } from "../operator/proven-credential.ts";
import { putSealed } from "../operator/put-sealed.ts";
import { resealCredential } from "../operator/reseal-credential.ts";
import { findNodes } from "../operator/roster-nodes.ts";
import { trustRoster } from "../operator/trusted-roster.ts";
import { readName } from "../read-name.ts";
import { noteCleartext } from "../terminal/note-cleartext.ts";
import { printJson, printLine, printTable } from "../terminal/print.ts";
import { readBinding } from "../terminal/read-binding.ts";
import { readValue } from "../terminal/read-value.ts";

/** Seals a value here, to the roster keys of the named nodes and the organisation's own, and hands over ciphertext. */
export async function sealHere(invocation: Invocation): Promise<number> {
  const name: string = readName(invocation.args[0] ?? "", "NAME");
  const bindings = requireBindings(await chooseBindings(invocation));
  const names = nodeNames(invocation);
  noteCleartext(bindings.flatMap(({ hosts }) => hosts));
  const value = parseCredentialValue(await readValue(textOption(invocation, "valueFile"), name));
  return asOperator(invocation.config.state.dir, async (operator) => {
    const roster = await trustRoster(await operator.org.getOrg({}), operator);
    const nodes = await findNodes(operator, roster, names);
    const before = (await provenCredential(operator, roster, name))?.bound;
    const isReplaced = isSet(invocation, "replace");
    if (before !== undefined && !isReplaced) {
      throw new Problem("grants.exists", {
        detail: `Give ${name} a new value with --replace, or choose another name.`,
      });
    }
    const credential = {
      orgId: operator.server.orgId,
      credentialId: before?.credentialId ?? makeUuid(Date.now(), systemRandom),
      name,
      version: (before?.version ?? 0) + 1,
      kind: "static",
      bindings,
      endpoints: [],
    };
    const signer = await chooseSigner(operator, roster);
    const recipients = [...nodes.map(({ encryptionKey }) => encryptionKey), operator.server.orgEncryptionKey];
    const sealed = await sealCredential(credential, value, { recipients, signer });
    await putSealed(operator, credential, { ...sealed, nodeIds: nodes.map(({ nodeId }) => nodeId) });
    report(invocation, credential, names);
    return 0;
  });
}

/** Seals a credential to further nodes without changing its value. */
export async function resealHere(invocation: Invocation): Promise<number> {
  const name = invocation.args[0] ?? "";
  const names = nodeNames(invocation);
  return asOperator(invocation.config.state.dir, async (operator) => {
    const roster = await trustRoster(await operator.org.getOrg({}), operator);
    const to = await findNodes(operator, roster, names);
    const bound = await resealCredential(operator, { name, roster, to, via: textOption(invocation, "via") });
    report(invocation, bound, names);
    return 0;
  });
}

/** Lists the organisation's credentials; their values are nowhere but at their nodes. */
export async function listSealed(invocation: Invocation): Promise<number> {
  return asOperator(invocation.config.state.dir, async ({ credentials, nodes }) => {
    const byId = new Map((await allNodes({ nodes })).map(({ id, name }) => [id, name]));
    const found = await allPages(credentials.listCredentials, (page) => page.credentials);
    const listed = found.map((one) => ({
      id: one.credentialId,
      name: one.name,
      version: Number(one.version),
      nodes: one.nodeIds.map((id) => byId.get(id) ?? id),
      hosts: readBindings(one.bindings).flatMap(({ hosts }) => hosts),
      rotation_pending: one.rotationPending,
      updated_at: new Date(Number(one.updatedAt)).toISOString(),
    }));
    const own = await listOwn(invocation);
    if (isSet(invocation, "json")) printJson([...listed, ...own]);
    else if (listed.length + own.length === 0)
      printLine("No credentials. Seal one: gatehouse credentials add NAME --service github --nodes N");
    else {
      const rows = listed.map(({ name, version, nodes: at, rotation_pending, hosts }) => [
        name,
        String(version),
        at.join(", "),
        rotation_pending ? "pending" : "-",
        hosts.join(", "),
      ]);
      const ownRows = own.map(({ name, hosts }) => [name, "-", "this machine's own", "-", hosts.join(", ")]);
      printTable(["NAME", "VERSION", "NODES", "ROTATE", "HOSTS"], [...rows, ...ownRows]);
    }
    return 0;
  });
}

/** Takes credentials and their grants back from every node; `done` hears of each. */
export function revokeSealed(
  { config }: Invocation,
  names: readonly string[],
  done: (name: string) => void,
): Promise<void> {
  return asOperator(config.state.dir, async ({ credentials }) => {
    for (const name of names) {
      await credentials.revokeCredential({ name });
      done(name);
    }
  });
}

async function chooseBindings(invocation: Invocation): Promise<readonly CredentialBinding[]> {
  if (invocation.args.length > 1) {
    throw new Problem("usage.invalid", {
      detail:
        "A value is never taken from the command line, where others can read it. If this one is real, replace it.",
    });
  }
  const service = textOption(invocation, "service");
  const hosts = listOption(invocation, "host");
  if ((service === undefined) === (hosts.length === 0)) {
    throw new Problem("usage.invalid", { detail: "Give --service, or --host with --header." });
  }
  if (service === undefined) return [readBinding(invocation, hosts)];
  const templates = await loadTemplates();
  const template = templates.get(service);
  if (template !== undefined) return template.bindings;
  throw new Problem("credentials.unknown_service", { detail: `Known are ${[...templates.keys()].join(", ")}.` });
}

function nodeNames(invocation: Invocation): readonly string[] {
  const names = (textOption(invocation, "nodes") ?? "").split(",").filter((name) => name !== "");
  if (names.length === 0) throw new Problem("usage.invalid", { detail: "Say which nodes may open it: --nodes n1,n2." });
  return names;
}

function report(
  invocation: Invocation,
  { credentialId, name, version, bindings }: BoundCredential,
  nodes: readonly string[],
) {
  const hosts = bindings.flatMap((binding) => binding.hosts);
  if (isSet(invocation, "json")) printJson({ id: credentialId, name, version, nodes, hosts });
  else printLine(`Sealed ${name} to ${nodes.join(", ")}, for ${hosts.join(", ")}. The server cannot read it.`);
}
