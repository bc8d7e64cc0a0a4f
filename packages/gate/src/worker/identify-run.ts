import { createHash } from "node:crypto";
import { getAllFields } from "../http1/fields.ts";
import type { Field } from "../http1/messages.ts";
import type { Refusal } from "../pipeline/request-context.ts";
import type { RunPlace } from "../snapshot/run-snapshot.ts";
import type { RunEntry, RunTable } from "./run-table.ts";

/** Where a connection came in: the listener of one run's sandbox, or the shared one on loopback. */
export type ListenerPlace = { readonly kind: "sandbox"; readonly runId: string } | { readonly kind: "shared" };

export type Identified = { readonly entry: RunEntry } | { readonly refusal: Refusal };

const TOKEN = /^[0-9a-f]{64}$/;

/** Which run asks: the place says, the token in `Proxy-Authorization` confirms. */
export function identifyRun(runs: RunTable, fields: readonly Field[], place: ListenerPlace): Identified {
  const token = readToken(fields);
  const entry = token === undefined ? undefined : runs.findByTokenHash(hashToken(token));
  if (entry === undefined) {
    return {
      refusal: {
        code: "gate.run_unknown",
        detail: "Send the run's token as Proxy-Authorization; the proxy variables of the sandbox hold it.",
      },
    };
  }
  if (!isAtHome(entry.runId, entry.current.snapshot.place, place)) {
    return {
      refusal: { code: "gate.run_elsewhere", detail: "The token is not of the run that this listener serves." },
    };
  }
  return { entry };
}

/** SHA-256 of the token's text, lower-case hex: the form in which tokens are kept. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token, "latin1").digest("hex");
}

function isAtHome(runId: string, home: RunPlace, place: ListenerPlace): boolean {
  return place.kind === "sandbox" ? place.runId === runId : home.kind === "shared";
}

function readToken(fields: readonly Field[]): string | undefined {
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
