import { type CredentialBinding, canonicalJson, type JsonValue, Problem } from "@gatehouse/core";

const REQUIRED = ["format", "header", "hosts"] as const;
const OPTIONAL = ["methods", "paths"] as const;
const MAX_BINDINGS = 64;

/** The one text of bindings, as it is sent and stored: RFC 8785 JSON. */
export function writeBindings(bindings: readonly CredentialBinding[]): string {
  return canonicalJson(bindings.map(toPlain));
}

/** Reads that text, and nothing that is written in another way. Fails with `credentials.refused`. */
export function readBindings(text: string): readonly CredentialBinding[] {
  const bindings = parseBindings(parseJson(text));
  if (writeBindings(bindings) !== text) throw refused("Its bindings are not canonical.");
  return bindings;
}

/** Takes parsed JSON for bindings when it has their form alone. Fails with `credentials.refused`. */
export function parseBindings(value: unknown): readonly CredentialBinding[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_BINDINGS) throw refused("It binds to nothing.");
  return value.map(parseBinding);
}

function parseBinding(value: unknown): CredentialBinding {
  if (typeof value !== "object" || value === null) throw refused("A binding cannot be read.");
  const known: readonly string[] = [...REQUIRED, ...OPTIONAL];
  const strange = Object.keys(value).find((name) => !known.includes(name));
  const { hosts, header, format, methods, paths } = value as Readonly<Record<string, unknown>>;
  const isWhole = typeof header === "string" && typeof format === "string" && isTexts(hosts) && hosts.length > 0;
  const areLists = [methods, paths].every((list) => list === undefined || (isTexts(list) && list.length > 0));
  if (strange !== undefined || !isWhole || !areLists) throw refused("A binding cannot be read.");
  return value as CredentialBinding;
}

/** JSON of a binding: what it does not state is not there. */
export function toPlain({ hosts, header, format, methods, paths }: CredentialBinding): JsonValue {
  return {
    hosts: [...hosts],
    header,
    format,
    ...(methods === undefined ? {} : { methods: [...methods] }),
    ...(paths === undefined ? {} : { paths: [...paths] }),
  };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Problem("credentials.refused", { detail: "Its bindings are no JSON.", cause });
  }
}

function refused(detail: string): Problem {
  return new Problem("credentials.refused", { detail });
}
