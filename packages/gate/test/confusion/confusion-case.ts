import type { ProblemCode } from "@gatehouse/core";

/** What the service receives: one message, without what the gate adds to each. */
export interface Forwarded {
  /** Method and target. */
  readonly start: string;
  /** Framing first, then end-to-end fields, as the gate writes them. */
  readonly fields?: readonly string[];
  readonly body?: string;
  readonly trailers?: readonly string[];
  /** Where the grant's credential may not go though the host is right. */
  readonly hasNoCredential?: true;
}

/** Bytes of a client, and everything that may come of them. */
export interface ConfusionCase {
  readonly name: string;
  readonly sends: string;
  readonly forwards: readonly Forwarded[];
  /** What the client reads, in order: a service's status, or the code of a refusal. */
  readonly answers: readonly (number | ProblemCode)[];
  readonly end: "open" | "closed";
  /** The client ends its side behind its bytes. */
  readonly hangsUp?: true;
}

/** How the client reaches the service, and how its requests are spelled there. */
export interface Way {
  readonly kind: "tunnel" | "front";
  /** `name:port` of the granted service. */
  readonly host: string;
  /** `name:port` of an allowed one without a grant. */
  readonly other: string;
  /** Identification, where each request needs it. */
  readonly auth: string;
  /** An origin-form target as it is written here. */
  readonly target: (path: string) => string;
  /** A head up to its empty line. `start`: method and origin-form target. */
  readonly head: (start: string, fields?: string) => string;
}

export function wayOf(kind: Way["kind"], place: Pick<Way, "host" | "other"> & { readonly token: string }): Way {
  const { host, other } = place;
  const auth = kind === "front" ? `Proxy-Authorization: Bearer ${place.token}\r\n` : "";
  const target = (path: string) => (kind === "front" && path.startsWith("/") ? `http://${host}${path}` : path);
  const head = (start: string, fields = "") => {
    const space = start.indexOf(" ");
    const line = `${start.slice(0, space)} ${target(start.slice(space + 1))} HTTP/1.1`;
    return `${line}\r\nHost: ${host}\r\n${auth}${fields}\r\n`;
  };
  return { kind, host, other, auth, target, head };
}

type Table = Readonly<Record<string, string>>;

/** Cases that are all refused, with nothing forwarded. */
export function refused(code: ProblemCode, end: ConfusionCase["end"], table: Table): readonly ConfusionCase[] {
  return Object.entries(table).map(([name, sends]) => ({ name, sends, forwards: [], answers: [code], end }));
}

/** Cases in which each message is forwarded and answered, and the connection goes on. */
export function forwarded(
  table: Readonly<Record<string, readonly [string, ...(Forwarded | string)[]]>>,
): readonly ConfusionCase[] {
  return Object.entries(table).map(([name, [sends, ...messages]]) => {
    const forwards = messages.map((message) => (typeof message === "string" ? { start: message } : message));
    return { name, sends, forwards, answers: forwards.map(() => 200), end: "open" };
  });
}
