import { type Authority, normaliseHost, parseAuthority } from "@gatehouse/core";
import { getField } from "../http1/fields.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

const ABSOLUTE = /^(https?):\/\/([^/?]+)/i;

/** The tunnel's authority, the target's and Host name one place; that place is where the gate will dial. */
export function checkDestination(context: RequestContext): Refusal | undefined {
  const { head, tunnel } = context;
  const isTls = tunnel?.isTls ?? false;
  const [, scheme, authority] = ABSOLUTE.exec(head.target) ?? [];
  if (scheme !== undefined && (scheme.toLowerCase() === "https") !== isTls) {
    return mismatch("The target's scheme is not the connection's.");
  }
  const read = (text: string | undefined) => (text === undefined ? [] : [readAuthority(text, isTls ? 443 : 80)]);
  const target = read(authority);
  const place = tunnel ?? target[0];
  if (place === undefined) return mismatch("A request to a proxy names its destination in full.");
  for (const stated of [...target, ...read(getField(head.fields, "host"))]) {
    if (stated?.host !== place.host) return mismatch("The request names another host than its tunnel or target.");
    if (stated.port !== place.port) return mismatch("The request names another port than its tunnel or target.");
  }
  context.host = place.host;
  context.port = place.port;
  context.isTls = isTls;
  context.plan = context.run.planFor(place.host, place.port);
  return undefined;
}

/** Authorities that were read, by their text and the port that they have without one: clients repeat them. */
const KNOWN = { 80: new Map<string, Authority>(), 443: new Map<string, Authority>() } as const;
const MAX_KNOWN = 1_024;

function readAuthority(text: string, defaultPort: 80 | 443): Authority | undefined {
  const known = KNOWN[defaultPort];
  const found = known.get(text);
  if (found !== undefined) return found;
  const host = normaliseHost(text);
  const read = host === undefined ? parseAuthority(text, defaultPort) : { host, port: defaultPort };
  if (known.size >= MAX_KNOWN) known.clear();
  // What cannot be read may be of any length.
  if (read !== undefined) known.set(text, read);
  return read;
}

function mismatch(detail: string): Refusal {
  return { code: "gate.destination_mismatch", detail };
}
