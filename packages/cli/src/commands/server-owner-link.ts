import { systemClock, systemRandom } from "@gatehouse/core";
import { openStateDirectory, parseServerUrl, writeFileAtomic } from "@gatehouse/kit";
import { createOwnerLink } from "@gatehouse/server";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { joinUrl } from "../operator/invitation-link.ts";
import { readName } from "../read-name.ts";
import { storeLocation } from "../server/store-location.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Lets an owner in again who can sign in no more; the server may run meanwhile. The link is shown once. */
export async function serverOwnerLink(invocation: Invocation): Promise<number> {
  const url = parseServerUrl(textOption(invocation, "url") ?? "");
  const owner = {
    org: readName(textOption(invocation, "org") ?? "", "--org"),
    name: readName(textOption(invocation, "name") ?? "", "--name"),
  };
  const state = await openStateDirectory(invocation.config.state.dir);
  const directory = state.file("server");
  const store = await storeLocation(invocation, directory);
  const made = await createOwnerLink({ directory, store }, owner, { clock: systemClock, random: systemRandom });
  const link = { url: joinUrl(url, made.code), expires_at: new Date(made.expiresAt).toISOString() };
  const out = textOption(invocation, "out");
  if (out !== undefined) await writeFileAtomic(out, `${link.url}\n`);
  if (isSet(invocation, "json")) printJson(out === undefined ? link : { expires_at: link.expires_at });
  else {
    printLine(out === undefined ? link.url : `Wrote the link to ${out}.`);
    printLine(`Whoever has it becomes ${owner.name}. It serves once, until ${link.expires_at}.`);
  }
  return 0;
}
