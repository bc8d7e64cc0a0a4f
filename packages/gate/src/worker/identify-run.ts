import { createHash } from "node:crypto";
import { getAllFields } from "../http1/fields.ts";
import type { Field } from "../http1/messages.ts";
import type { RunSnapshot } from "../snapshot/run-snapshot.ts";
import type { RunTable } from "./run-table.ts";
import type { Identified } from "./session-role.ts";

/** Where a connection came in: the listener of one run's sandbox, the shared one on loopback, or one of `gate.listen`. */
export type ListenerPlace =
  | { readonly kind: "sandbox"; readonly runId: string }
  | { readonly kind: "shared" }
  | { readonly kind: "address"; readonly peer: string | undefined };

const TOKEN = /^[0-9a-f]{64}$/;

/** Which run asks: the place says, its token confirms. */
export function identifyRun(runs: RunTable, token: string | undefined, place: ListenerPlace): Identified {
  const entry = token === undefined ? undefined : runs.findByTokenHash(hashToken(token));
  if (entry === undefined) {
    return {
      refusal: {
        code: "gate.run_unknown",
        detail: "Send the run's token as Proxy-Authorization; the proxy variables of the sandbox hold it.",
      },
    };
  }
  if (!isAtHome(entry.current.snapshot, place)) {
    return {
      refusal: { code: "gate.run_elsewhere", detail: "The token is not of a run that may come from here." },
    };
  }
  return { entry };
}

/** SHA-256 of the token's text, lower-case hex: the form in which tokens are kept. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token, "latin1").digest("hex");
}

/**
 * Loopback belongs to the host's own processes, which hold the tokens anyway. At an address that containers reach, the
 * token alone counts only until the run's container is named.
 */
function isAtHome(run: RunSnapshot, place: ListenerPlace): boolean {
  if (place.kind === "sandbox") return place.runId === run.runId;
  if (place.kind === "shared") return run.place.kind === "shared";
  const { isExternal, containerAddresses: known } = run;
  return isExternal && (known === undefined || (place.peer !== undefined && known.includes(place.peer)));
}

/** The token in `Proxy-Authorization`. `undefined`: there is none, or no single one. */
export function readToken(fields: readonly Field[]): string | undefined {
  const values = getAllFields(fields, "proxy-authorization");
  const [, scheme = "", credentials = ""] = /^(basic|bearer) +(\S+)$/i.exec(values[0] ?? "") ?? [];
  if (values.length !== 1 || credentials === "") return undefined;
  const token = scheme.toLowerCase() === "bearer" ? credentials : passwordOf(credentials);
  return TOKEN.test(token) ? token : undefined;
}

function passwordOf(credentials: string): string {
  const text = Buffer.from(credentials, "base64").toString("latin1");
  const colon = text.indexOf(":");
  return colon < 0 ? "" : text.slice(colon + 1);
}
