import { type Authority, normaliseHost, parseAuthority } from "@gatehouse/core";
import { getField } from "../http1/fields.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

const ABSOLUTE = /^(https?):\/\/([^/?]+)(.*)$/i;

/** The tunnel's authority, the target's and Host name one place; that place is where the gate will dial. */
export function checkDestination(context: RequestContext): Refusal | undefined {
  const { head, tunnel } = context;
  const absolute = ABSOLUTE.exec(head.target);
  const isTls = tunnel?.isTls ?? false;
  if (tunnel === undefined && absolute === null) return mismatch("A proxy request names its destination in full.");
  if (absolute !== null && (absolute[1]?.toLowerCase() === "https") !== isTls) {
    return mismatch("The target's scheme is not the connection's.");
  }
  const defaultPort = isTls ? 443 : 80;
  const stated = [absolute?.[2], getField(head.fields, "host")].flatMap((text) =>
    text === undefined ? [] : [readAuthority(text, defaultPort)],
  );
  const place: Authority | undefined = tunnel ?? stated[0];
  if (place === undefined) return mismatch("The request names no destination.");
  for (const authority of stated) {
    if (authority === undefined || authority.host !== place.host) return mismatch("Host is not the tunnel's.");
    if (authority.port !== place.port) return mismatch("The port is not the tunnel's.");
  }
  context.host = place.host;
  context.port = place.port;
  context.isTls = isTls;
  context.plan = context.run.planFor(place.host, place.port);
  return undefined;
}

function readAuthority(text: string, defaultPort: number): Authority | undefined {
  const host = normaliseHost(text);
  return host === undefined ? parseAuthority(text, defaultPort) : { host, port: defaultPort };
}

function mismatch(detail: string): Refusal {
  return { code: "gate.destination_mismatch", detail };
}
