import { readFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "./product.ts";

/** A call that was refused. */
export interface RefusedCall {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

interface Row {
  /** Absent: of every call. */
  readonly call: RegExp | undefined;
  readonly codes: readonly string[];
}

const ROW = /^\| ([^|]*) \| ((?:`[a-z_]+(?:\.[a-z_]+)?`(?:, )?)+) \|$/gm;

/** The table of refusals in the reference of the local API. */
function readRows(): readonly Row[] {
  const page = readFileSync(join(REPOSITORY, "docs/reference/local-api.md"), "utf8");
  const section = page.split(/^## /m).find((text) => text.startsWith("Refusals\n")) ?? "";
  return [...section.matchAll(ROW)].flatMap(([, calls = "", codes = ""]): readonly Row[] => {
    const stated = [...codes.matchAll(/[a-z_.]+/g)].map(String);
    if (calls === "any call") return [{ call: undefined, codes: stated }];
    return [...calls.matchAll(/`([A-Z]+ \/[^`]*)`/g)].map(([, call = ""]) => {
      return { call: new RegExp(`^${call.replaceAll(/\{[^}]*\}/g, "[^/]+")}$`), codes: stated };
    });
  });
}

/** Fails when the reference does not say that this call may be refused with this code. */
export function requireStatedCode({ method, path, body }: RefusedCall): void {
  const { code } = (body ?? {}) as { readonly code?: unknown };
  const asked = `${method} ${path.replace(/\?.*$/, "")}`;
  const rows = readRows().filter(({ call }) => call === undefined || call.test(asked));
  if (rows.some(({ codes }) => codes.includes(String(code)))) return;
  throw new Error(`docs/reference/local-api.md does not state that ${asked} is refused with ${String(code)}`);
}
