import { encodeTuple, type NetworkPolicyInput, Secret } from "@gatehouse/core";
import type { FlattenedJWE } from "jose";
import { type Binding, formatHeader } from "../credentials/binding.ts";
import type { CredentialInfo } from "../credentials/credential-store.ts";
import type { NodeKey } from "../credentials/node-key.ts";
import { PLAIN_PLACEHOLDER } from "../credentials/placeholder.ts";
import { refuseConflicts, refuseSlotConflicts } from "../credentials/refuse-conflicts.ts";
import { open, seal } from "../credentials/seal.ts";
import type { GrantedCredentials } from "../fleet/granted-credentials.ts";
import { isClientAuth } from "../pipeline/strip-client-auth.ts";
import { type InlineValues, isExternal, type RegisteredRun } from "../registry/registered-run.ts";
import { requireLongEnough, scrubbedForms } from "../scrub/value-forms.ts";
import type { Injection, RunSnapshot, ScrubbedValue } from "../snapshot/run-snapshot.ts";

/** What opening a run's credentials needs. */
export interface SnapshotDeps {
  readonly credentials: GrantedCredentials;
  readonly key: NodeKey;
  /** The organisation's policies. */
  readonly ceilings?: () => readonly NetworkPolicyInput[];
}

const NO_VALUES: InlineValues = { credentials: [], slots: [], extraHeaders: [] };

/** `buildSnapshot` of the grants as they are when it returns: one may be revoked or replaced while it is opened. */
export async function buildCurrentSnapshot(run: RegisteredRun, deps: SnapshotDeps): Promise<RunSnapshot> {
  for (;;) {
    const before = versionsOf(run, deps);
    const snapshot = await buildSnapshot(run, deps);
    if (versionsOf(run, deps) === before) return snapshot;
  }
}

function versionsOf({ grants }: RegisteredRun, { credentials }: SnapshotDeps): string {
  return JSON.stringify(grants.map((name) => credentials.get(name)).map((info) => [info?.id, info?.version]));
}

/**
 * Opens everything that a run may use into the form that workers serve. Fails when any part cannot be had: a run is
 * refused whole, never served with less than it was promised or checked against.
 */
async function buildSnapshot(run: RegisteredRun, { credentials, key, ceilings }: SnapshotDeps): Promise<RunSnapshot> {
  const inline = await openInlineValues(run, key);
  const granted: Injection[] = [];
  const scrub: ScrubbedValue[] = [];
  for (const name of run.grants) {
    const info = credentials.get(name);
    // A label that came with inline values needs no stored credential of its own.
    if (info === undefined && [...inline.credentials, ...inline.slots].some(({ grant }) => grant === name)) continue;
    const value = (await credentials.reveal(name)).reveal();
    // A service may still answer with what was replaced.
    const values = [value, ...(await credentials.revealReplaced(name)).map((old) => old.reveal())];
    for (const binding of info?.bindings ?? []) {
      granted.push(...injectionsOf({ name, ...info }, binding, formatHeader(binding.format, value)));
      const placeholder = run.placeholders[name] ?? PLAIN_PLACEHOLDER.prefix;
      scrub.push(...values.flatMap((one) => scrubbedForms(one, formatHeader(binding.format, one), placeholder)));
    }
  }
  for (const { host, header, value, grant } of inline.credentials) {
    const everywhere = { credential: undefined, methods: undefined, paths: undefined, allowCleartext: false };
    granted.push({ ...everywhere, grant, host, header, value });
  }
  const keys = inline.extraHeaders.filter(({ name }) => isClientAuth(name.toLowerCase()));
  scrub.push(...scrubbedInline({ ...inline, extraHeaders: keys }));
  refuseConflicts(granted);
  refuseSlotConflicts(inline.slots, granted);
  return {
    runId: run.runId,
    agent: run.agent,
    project: run.project,
    tokenHash: run.tokenHash,
    place: run.place,
    isExternal: isExternal(run),
    containerAddresses: run.containerId === undefined ? undefined : [],
    policy: run.policy,
    ...(ceilings === undefined ? {} : { ceilings: ceilings() }),
    injections: granted,
    slots: inline.slots,
    transformers: run.transformers,
    mcpServers: run.mcpServers,
    extraHeaders: inline.extraHeaders,
    removeHeaders: run.removeHeaders,
    placeholders: [
      ...Object.entries(run.placeholders).map(([grant, text]) => ({ grant, text })),
      ...inline.slots.map(({ grant, placeholder }) => ({ grant, text: placeholder })),
    ],
    scrub: [...new Map(scrub.map((one) => [one.value, one])).values()],
    scrubHosts: keys.map(({ host }) => host),
  };
}

function scrubbedInline({ credentials, slots, extraHeaders }: InlineValues): readonly ScrubbedValue[] {
  const { prefix } = PLAIN_PLACEHOLDER;
  return [
    ...credentials.flatMap(({ value }) => scrubbedForms(requireLongEnough(bareValue(value)), value, prefix)),
    ...slots.flatMap(({ value, placeholder }) => scrubbedForms(requireLongEnough(value), value, placeholder)),
    // Callers put keys there, too.
    ...extraHeaders.flatMap(({ value }) => scrubbedForms(bareValue(value), value, prefix)),
  ];
}

/** What a grant's binding sets, with this whole header value. */
export function injectionsOf(
  { name: grant, origin }: { readonly name: string; readonly origin?: CredentialInfo["origin"] },
  binding: Binding,
  value: string,
): Injection[] {
  return binding.hosts.map((host) => ({
    grant,
    credential: grant,
    host,
    methods: binding.methods?.map((method) => method.toUpperCase()),
    paths: binding.paths,
    header: binding.header.toLowerCase(),
    value,
    allowCleartext: false,
    ...(origin === "organisation" ? { needsFreshness: true } : {}),
  }));
}

/** The credential in a whole header value: `Bearer x` → `x`, Basic decoded to its password. */
function bareValue(headerValue: string): string {
  const [, scheme = "", rest = ""] = /^([A-Za-z]+) (\S+)$/.exec(headerValue) ?? [];
  if (scheme === "") return headerValue;
  if (scheme.toLowerCase() !== "basic") return rest;
  const decoded = Buffer.from(rest, "base64").toString("latin1");
  return decoded.slice(decoded.indexOf(":") + 1);
}

/** Seals what came inline, bound to its run. */
export async function sealInlineValues(
  runId: string,
  values: InlineValues,
  key: NodeKey,
): Promise<FlattenedJWE | undefined> {
  if (Object.values(values).every((list) => list.length === 0)) return undefined;
  return seal(key, new Secret(JSON.stringify(values)), inlineBytes(runId));
}

async function openInlineValues(run: RegisteredRun, key: NodeKey): Promise<InlineValues> {
  if (run.sealedValues === undefined) return NO_VALUES;
  const text = await open(key, run.sealedValues, inlineBytes(run.runId));
  // What an earlier version sealed has fewer lists.
  return { ...NO_VALUES, ...(JSON.parse(text.reveal()) as Partial<InlineValues>) };
}

function inlineBytes(runId: string): Uint8Array {
  return encodeTuple("gatehouse/run-values/v1", runId);
}
