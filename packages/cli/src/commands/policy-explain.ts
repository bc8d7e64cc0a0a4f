import { Problem, pathOf } from "@gatehouse/core";
import { type Explanation, explainUnderPolicy, systemLookUp } from "@gatehouse/gate";
import { type Invocation, isSet, listOption, textOption } from "../invocation.ts";
import { type AskedOfDaemon, askDaemon, explainRun } from "../policy/explain-run.ts";
import { type PlacedFile, readPolicy } from "../policy/policy-file.ts";
import { colour, printJson, printLine, shown } from "../terminal/print.ts";

/** Says what the gate would do with a request: by a file alone, or, where runs and grants matter, as the daemon says. */
export async function explainPolicy(invocation: Invocation): Promise<number> {
  const run = textOption(invocation, "run");
  const written = textOption(invocation, "policy");
  const isPlanned = written !== undefined || ["grant", "allow"].some((name) => listOption(invocation, name).length > 0);
  if (run !== undefined && isPlanned) {
    throw new Problem("usage.invalid", { detail: "A run has its policy and grants: give --run alone." });
  }
  const [method = "", url = ""] = invocation.args;
  const asked = { method: method.toUpperCase(), url, resolve: isSet(invocation, "resolve") };
  const file = run === undefined ? await readPolicy(written ?? "strict") : undefined;
  const explained =
    run === undefined ? await explainPlanned(invocation, asked, file?.value) : await explainRun(invocation, run, asked);
  if (isSet(invocation, "json")) printJson(explained);
  else printExplanation(explained, file, asked.resolve);
  return 0;
}

async function explainPlanned(
  invocation: Invocation,
  { method, url, resolve }: AskedOfDaemon,
  written: unknown,
): Promise<Explanation> {
  const grants = listOption(invocation, "grant");
  const policy = withAllowed(written, listOption(invocation, "allow"));
  if (grants.length > 0) return askDaemon(invocation, { method, url, resolve, policy, grants });
  const { hosts } = invocation.config.gate;
  const lookUp = resolve ? { lookUp: systemLookUp } : {};
  return explainUnderPolicy(policy, { method, url }, { hosts, ownAddresses: new Set(), ...lookUp });
}

/** As `gatehouse run` adds `--allow` to its policy. */
function withAllowed(written: unknown, allow: readonly string[]): unknown {
  if (allow.length === 0 || typeof written !== "object" || written === null) return written;
  const listed = "allow" in written && Array.isArray(written.allow) ? written.allow : [];
  return { ...written, allow: [...listed, ...allow] };
}

function printExplanation(explained: Explanation, file: PlacedFile | undefined, resolves: boolean): void {
  printLine(explained.action === "allow" ? colour("allowed", "green") : colour("denied", "red"));
  const rows = [...decisionRows(explained, file), ...requestRows(explained), ...destinationRows(explained, resolves)];
  for (const [title, text] of rows) printLine(`  ${title.padEnd(12)} ${shown(text)}`);
}

type Row = readonly [title: string, text: string];

function decisionRows({ rule, reason, code }: Explanation, file: PlacedFile | undefined): readonly Row[] {
  // Where the destination is what is refused, the rule allowed the request.
  const title = OF_DESTINATIONS.has(code) ? "allowed by" : "rule";
  const decided: Row = [title, rule === undefined ? "none was asked" : placed(rule, file)];
  return reason === undefined ? [decided] : [decided, ["because", `${reason} (${code})`]];
}

function requestRows({ request, injects, withheld = [], strips_client_auth: isStripped }: Explanation): readonly Row[] {
  const { method, scheme, port, path, ambiguity } = request;
  const query = request.query.length === 0 ? "" : `?${request.query.join("&")}`;
  const host = request.host.includes(":") ? `[${request.host}]` : request.host;
  return [
    ["request", `${method} ${scheme}://${host}:${port}${path}${query}`],
    ...(ambiguity === undefined ? [] : [["ambiguous", ambiguity] as const]),
    ...injects.map((one): Row => ["sets", named(one)]),
    ...withheld.map((one): Row => ["does not set", `${named(one)}: no credential is attached over http://`]),
    ...(isStripped ? [["removes", "the client's own authentication"] as const] : []),
  ];
}

function named({ header, grant }: Explanation["injects"][number]): string {
  return grant === undefined ? header : `${header} (grant ${grant})`;
}

function destinationRows({ code, destination }: Explanation, resolves: boolean): readonly Row[] {
  const { ranges, addresses } = destination;
  const unknown = OF_DESTINATIONS.has(code) ? "none was found" : "not looked up: it is refused before";
  return [
    ["may dial", ["public addresses", ...ranges].join(", ")],
    ["addresses", addresses?.join(", ") ?? (resolves ? unknown : "not looked up (--resolve does)")],
  ];
}

const OF_DESTINATIONS: ReadonlySet<string | undefined> = new Set([
  "gate.address_forbidden",
  "gate.upstream_unreachable",
  "gate.upstream_timeout",
]);

function placed(rule: string, file: PlacedFile | undefined): string {
  const path = pathOf(rule);
  const isWritten = typeof file?.value === "object" && file.value !== null && String(path[0]) in file.value;
  if (file === undefined || !isWritten) return rule;
  const { line, column } = file.place(path);
  return `${rule} (${file.path}:${line}:${column})`;
}
