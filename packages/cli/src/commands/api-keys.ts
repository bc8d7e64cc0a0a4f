import { existsSync } from "node:fs";
import { Problem } from "@gatehouse/core";
import { writeFileAtomic } from "@gatehouse/kit";
import type { ApiKey } from "@gatehouse/wire";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { allPages } from "../operator/all-pages.ts";
import { asOperator } from "../operator/open-operator.ts";
import { readRole, roleName } from "../operator/roles.ts";
import { apiKeyItMade } from "../operator/server-said.ts";
import { readName } from "../read-name.ts";
import { note, printJson, printLine, printTable, shown } from "../terminal/print.ts";
import { readDuration } from "../terminal/read-duration.ts";

/** Lists the keys of the organisation's members, never what they are. */
export async function listApiKeys(invocation: Invocation): Promise<number> {
  const apiKeys = await asOperator(invocation.config.state.dir, ({ org }) =>
    allPages(org.listApiKeys, (page) => page.apiKeys),
  );
  const rows = apiKeys.map(describeApiKey);
  if (isSet(invocation, "json")) printJson(rows);
  else
    printTable(
      ["KEY", "LABEL", "MEMBER", "ROLE", "EXPIRES", "LAST USED"],
      rows.map((row) => [row.prefix, row.label, row.member, row.role, row.expires_at, row.last_used ?? "never"]),
    );
  return 0;
}

/** Makes a key. It is shown once. */
export async function createApiKey(invocation: Invocation): Promise<number> {
  const label = readName(textOption(invocation, "label") ?? "", "--label");
  const role = readRole(textOption(invocation, "role") ?? "");
  const ttlMs = BigInt(readDuration(textOption(invocation, "ttl") ?? "", "--ttl"));
  const asked = textOption(invocation, "member");
  const member = asked === undefined ? "" : readName(asked, "--member");
  const made = await asOperator(invocation.config.state.dir, ({ org }) =>
    org.createApiKey({ label, role, ttlMs, member }),
  );
  if (made.stored === undefined) throw new Problem("server.untrusted", { detail: "Its answer names no key." });
  const apiKey = apiKeyItMade(made.apiKey);
  const stored = describeApiKey(made.stored);
  const out = textOption(invocation, "out");
  if (out !== undefined) await writeKey(out, apiKey);
  if (isSet(invocation, "json")) printJson(out === undefined ? { api_key: apiKey, ...stored } : stored);
  else if (out !== undefined) printLine(`Wrote the key to ${out}. It is good until ${stored.expires_at}.`);
  else {
    printLine(apiKey);
    printLine(`It is shown this once, and good until ${stored.expires_at}.`);
  }
  return 0;
}

/** As every `--out` does, in place of a file that is there; a key that is lost with it opens the same as before. */
async function writeKey(path: string, apiKey: string): Promise<void> {
  const isReplaced = existsSync(path);
  await writeFileAtomic(path, `${apiKey}\n`);
  if (isReplaced)
    note(`${path} was replaced. If it held a key, that one is still good: gatehouse api-keys ls, revoke KEY`);
}

/** Ends a key at once, by its id or what it begins with. */
export async function revokeApiKey(invocation: Invocation): Promise<number> {
  const asked = invocation.args[0] ?? "";
  const key = await asOperator(invocation.config.state.dir, async ({ org }) => {
    const apiKeys = await allPages(org.listApiKeys, (page) => page.apiKeys);
    const found = apiKeys.find(({ id, prefix }) => id === asked || prefix === asked);
    if (found === undefined) throw new Problem("keys.not_found");
    await org.revokeApiKey({ id: found.id });
    return found;
  });
  if (isSet(invocation, "json")) printJson({ id: key.id, prefix: key.prefix, state: "revoked" });
  else printLine(`${shown(key.prefix)} of ${shown(key.member)} opens nothing any more.`);
  return 0;
}

function describeApiKey({ id, label, prefix, member, role, createdAt, expiresAt, lastUsedAt }: ApiKey) {
  return {
    id,
    prefix,
    label,
    member,
    role: roleName(role),
    created_at: new Date(Number(createdAt)).toISOString(),
    expires_at: new Date(Number(expiresAt)).toISOString(),
    last_used: lastUsedAt === 0n ? null : new Date(Number(lastUsedAt)).toISOString(),
  };
}
