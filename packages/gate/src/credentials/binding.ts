import { encodeTuple, Problem, parseHostPattern, parsePathPattern } from "@gatehouse/core";
import { getDomain, getPublicSuffix } from "tldts";
import * as z from "zod";

/** The org of a node that belongs to no server yet; sealed credentials are bound to it. */
const LOCAL_ORG = "local";

/** Where a credential goes: one header, in one format, on these hosts. */
export const bindingSchema = z.strictObject({
  hosts: z.array(z.string().min(1).max(260)).min(1).max(64),
  header: z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/),
  /** Text with `{value}`; what follows `Basic ` is base64-encoded by the gate. */
  format: z.string().max(256),
  // Absent is all of them. An empty list would be none, and what a credential is sealed under says the same for both.
  methods: z
    .array(z.string().regex(/^[A-Za-z]{1,16}$/))
    .min(1)
    .optional(),
  paths: z.array(z.string().max(512)).min(1).optional(),
});

export type Binding = Readonly<z.infer<typeof bindingSchema>>;

// Headers that frame or route a message; a credential there would break or redirect it.
const UNUSABLE =
  /^(?:host|content-length|transfer-encoding|connection|upgrade|te|trailer|expect|keep-alive|proxy-.*|accept-encoding|range)$/i;

/** Domains below which clouds name the machines and stores of all their customers, beside what the PSL lists. */
const CLOUD_DOMAINS: ReadonlySet<string> = new Set([
  "aliyuncs.com",
  "amazonaws.com",
  "amazonaws.com.cn",
  "azure.com",
  "azure.net",
  "cloudapp.net",
  "googleapis.com",
  "googleusercontent.com",
  "myqcloud.com",
  "oraclecloud.com",
  "windows.net",
]);

/** Reads bindings that came from elsewhere, as strictly as ones that are written here. Fails with `grants.invalid`. */
export function requireBindings(value: unknown): readonly Binding[] {
  const parsed = z.array(bindingSchema).min(1).max(64).safeParse(value);
  if (!parsed.success) throw invalid("A binding is hosts, a header and a format.");
  for (const binding of parsed.data) checkBinding(binding);
  return parsed.data;
}

/** Checks what the schema cannot: patterns, the format, and wildcards over suffixes that strangers share. */
export function checkBinding(binding: Binding): void {
  for (const host of binding.hosts) checkHost(host);
  checkHeaderName(binding.header);
  if (binding.format.split("{value}").length !== 2) throw invalid("A format holds {value} once.");
  if (!/^[\x20-\x7e]*$/.test(binding.format)) throw invalid("A format holds printable ASCII alone.");
  for (const path of binding.paths ?? []) {
    if (parsePathPattern(path) === undefined) throw invalid(`Not a path pattern: ${path}.`);
  }
}

/** Refuses headers that frame or route a message, `_` for `-` too. Fails with `grants.invalid`. */
export function checkHeaderName(header: string): void {
  if (UNUSABLE.test(header.replaceAll("_", "-"))) throw invalid(`Nothing can be put into the header ${header}.`);
}

/** Refuses every host, and wildcards over suffixes that strangers share. Fails with `grants.invalid`. */
export function checkHost(host: string): void {
  const pattern = parseHostPattern(host);
  if (pattern.kind === "any") throw invalid("A credential needs a host; * is everybody's.");
  if (pattern.kind === "exact") return;
  const suffix = pattern.host.slice(1);
  if (isSharedSuffix(suffix)) throw invalid(`*.${suffix} is a suffix that strangers share.`);
}

/** Whether anybody can have a name below this one. */
export function isSharedSuffix(suffix: string): boolean {
  const options = { allowPrivateDomains: true };
  const domain = getDomain(suffix, options);
  return domain === null || getPublicSuffix(suffix, options) === suffix || CLOUD_DOMAINS.has(domain);
}

/** What identifies a sealed credential, beside its bindings. */
export interface SealedIdentity {
  readonly id: string;
  readonly name: string;
  readonly version: number;
}

/** The bytes that a credential is bound to: change a host or a slot and it cannot be opened. */
export function bindingBytes({ id, name, version }: SealedIdentity, bindings: readonly Binding[]): Uint8Array {
  const destinations = bindings.flatMap(({ hosts }) => hosts);
  const slots = bindings.map(({ hosts, header, format, methods, paths }) => [
    [...hosts],
    header.toLowerCase(),
    format,
    [...(methods ?? [])],
    [...(paths ?? [])],
  ]);
  return encodeTuple("gatehouse/credential/v1", LOCAL_ORG, id, version, "static", destinations, slots, [], name);
}

/** The header value that is sent. */
export function formatHeader(format: string, value: string): string {
  const filled = format.replace("{value}", () => value);
  const basic = /^basic /i.exec(filled);
  return basic === null ? filled : `Basic ${Buffer.from(filled.slice(basic[0].length)).toString("base64")}`;
}

function invalid(detail: string): Problem {
  return new Problem("grants.invalid", { detail });
}
