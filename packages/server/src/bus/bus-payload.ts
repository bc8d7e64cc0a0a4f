import type { BusMessage } from "./bus.ts";

/** What travels between replicas: a message, or word that messages were lost. */
export type BusPayload = BusMessage | { readonly kind: "gap" };

type Fields = {
  readonly [K in BusMessage["kind"]]: readonly Exclude<keyof Extract<BusMessage, { kind: K }>, "kind">[];
};

/** The ids of each kind. */
const FIELDS: Fields = {
  enrollment: ["orgId", "id"],
  session: ["orgId", "nodeId"],
  commands: ["orgId", "nodeId"],
  bundle: ["orgId", "nodeId"],
  events: ["orgId"],
  people: ["orgId"],
};

/** PostgreSQL carries less than 8,000 bytes; ours are ids alone. */
const MAX_PAYLOAD_BYTES = 1_024;
const MAX_ID_CHARACTERS = 128;

/** Throws for a message that carries more than ids. */
export function encodePayload(payload: BusPayload): string {
  const text = JSON.stringify(payload);
  if (Buffer.byteLength(text) > MAX_PAYLOAD_BYTES) throw new RangeError("a message of the bus carries ids alone");
  return text;
}

/** Reads what another replica sent; `undefined` for whatever this release does not know: anybody may notify. */
export function decodePayload(text: string): BusPayload | undefined {
  if (text.length > MAX_PAYLOAD_BYTES) return undefined;
  const fields = parseObject(text);
  if (fields?.kind === "gap") return { kind: "gap" };
  const kind = typeof fields?.kind === "string" && Object.hasOwn(FIELDS, fields.kind) ? fields.kind : undefined;
  if (fields === undefined || kind === undefined) return undefined;
  const names = FIELDS[kind as BusMessage["kind"]];
  const ids = names.map((name) => [name, fields[name]] as const);
  return ids.every(([, id]) => isId(id)) ? ({ kind, ...Object.fromEntries(ids) } as BusMessage) : undefined;
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // Not ours: somebody else uses the channel's name.
    return undefined;
  }
}

function isId(value: unknown): boolean {
  return typeof value === "string" && value.length > 0 && value.length <= MAX_ID_CHARACTERS;
}
