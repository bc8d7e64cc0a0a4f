import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openLogSource, verifyLog } from "@gatehouse/kit";
import { createTestAuthority, type FakeApi, openFakeApi, runProcess } from "@gatehouse/testbed";
import { expect } from "vitest";
import type { GateConfig, StartRun } from "../../src/holder/gate-protocol.ts";
import { type HolderProcess, type HolderState, sandboxRun } from "./holder-process.ts";

const VALUE = "planted-0123456789abcdefghijklmnop";
const authority = await createTestAuthority();

/** A service that wants the credential. */
export function openService(value = VALUE): Promise<FakeApi> {
  return openFakeApi({ authority, expects: `Bearer ${value}` });
}

/** Lets the gate find and trust the service. */
export async function serviceConfig(state: HolderState): Promise<Partial<GateConfig>> {
  const upstreamCaFile = join(state.directory, "..", "upstream.pem");
  await writeFile(upstreamCaFile, authority.certificatePem);
  return { upstreamCaFile, hosts: { "api.example.test": "127.0.0.1" }, workers: 1 };
}

/** A run that may ask the service. */
export function runAsking(host: string, fields: Partial<StartRun>): StartRun {
  const rules = [{ action: "allow" as const, hosts: [host], cidr: ["127.0.0.0/8"] }];
  return sandboxRun({ keeper: undefined, policy: { mode: "strict", rules }, ...fields });
}

/** What was asked for and what was answered with success: after any fault, the latter must hold. */
export class Ledger {
  readonly grants = new Set<string>();
  readonly runs = new Set<string>();
  readonly endedTokens = new Map<string, string>();
  /** Entries that counted when something was answered, `kind name`. */
  readonly entries = new Set<string>();
  /** Grants and runs of which it is open whether they hold: nothing was answered. */
  readonly doubtful = new Set<string>();

  /** Asks; what throws, or is no success, leaves its thing in doubt. */
  async attempt(name: string, ask: () => Promise<boolean>): Promise<boolean> {
    this.doubtful.add(name);
    const isDone = await ask().catch(() => false);
    if (isDone) this.doubtful.delete(name);
    return isDone;
  }
}

/** Everything that changes state, one step after the other. Nothing in it throws. */
export async function playScenario(holder: HolderProcess, state: HolderState, api: FakeApi): Promise<Ledger> {
  const ledger = new Ledger();
  const host = `api.example.test:${api.port}`;
  await grant(holder, ledger, { name: "g1", host });
  await register(holder, ledger, "r1");
  const isStarted = await ledger.attempt("run-1", async () => {
    const started = await holder.call("startRun", runAsking(host, { grants: ["g1"] }));
    if (await isAnswered({ ...started, url: `https://${host}/`, state })) await noteDurable(holder, ledger);
    return true;
  });
  if (isStarted) note(ledger, { runs: "run-1", entry: "run.registered run-1" });
  const token = await register(holder, ledger, "r2");
  if (await ledger.attempt("r2", async () => (await holder.request("DELETE", `/v1/runs/${token}`)).status === 204)) {
    ledger.runs.delete("r2");
    ledger.endedTokens.set("r2", token);
    ledger.entries.add("run.ended r2");
  }
  await grant(holder, ledger, { name: "g2", host: "b.example.test" });
  if (await ledger.attempt("g1", async () => (await holder.request("DELETE", "/v1/grants/g1")).status === 204)) {
    ledger.grants.delete("g1");
    ledger.entries.add("grant.revoked g1");
  }
  await register(holder, ledger, "r3");
  return ledger;
}

/** A run with a grant, without a fault. */
export async function playGrantAndRun(holder: HolderProcess, api: FakeApi): Promise<void> {
  await grant(holder, new Ledger(), { name: "g1", host: `api.example.test:${api.port}` });
  await holder.call("startRun", sandboxRun({ grants: ["g1"], keeper: undefined }));
}

function note(ledger: Ledger, { runs, entry }: { readonly runs: string; readonly entry: string }): void {
  ledger.runs.add(runs);
  ledger.entries.add(entry);
}

async function grant(
  holder: HolderProcess,
  ledger: Ledger,
  { name, host }: { readonly name: string; readonly host: string },
): Promise<void> {
  const bindings = [{ hosts: [host], header: "Authorization", format: "Bearer {value}" }];
  const body = { name, bindings, value: VALUE };
  if (!(await ledger.attempt(name, async () => (await holder.request("POST", "/v1/grants", body)).status === 201)))
    return;
  ledger.grants.add(name);
  ledger.entries.add(`grant.created ${name}`);
}

async function register(holder: HolderProcess, ledger: Ledger, run_id: string): Promise<string> {
  let token = "";
  const isDone = await ledger.attempt(run_id, async () => {
    const { status, body } = await holder.request("POST", "/v1/runs", { run_id, network_allow: ["a.example.test"] });
    token = (body as { readonly auth_token?: string }).auth_token ?? "";
    return status === 201;
  });
  if (isDone) note(ledger, { runs: run_id, entry: `run.registered ${run_id}` });
  return token;
}

interface Asking {
  readonly token: string;
  readonly caCertificatePem: string;
  readonly proxyPort: number;
  readonly url: string;
  readonly state: HolderState;
}

/** One request with the credential. Returns whether the service answered it. */
async function isAnswered({ token, caCertificatePem, proxyPort, url, state }: Asking): Promise<boolean> {
  const ca = join(state.directory, "..", "interception.pem");
  await writeFile(ca, caCertificatePem);
  const proxy = `http://run:${token}@127.0.0.1:${proxyPort}`;
  const args = ["-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", ca, "-x", proxy, url];
  return (await runProcess("curl", args)).stdout === "200";
}

/** Waits until the request's entry counts: from then on no fault may take it. */
async function noteDurable(holder: HolderProcess, ledger: Ledger): Promise<void> {
  for (let entries = 0; entries < 5; ) {
    const { status, body } = await holder.request("POST", "/v1/audit/head");
    if (status !== 200) return;
    ({ entries } = body as { readonly entries: number });
  }
  ledger.entries.add("request.injected run-1");
}

/** Starts on what a fault left, without faults, and checks that all that was answered holds. */
export async function expectNothingLost(state: HolderState, ledger: Ledger): Promise<void> {
  const holder = await state.start();
  const read = async (path: string) => (await holder.request("GET", path)).body;
  const grants = ((await read("/v1/grants")) as { readonly name: string }[]).map(({ name }) => name);
  const runs = ((await read("/v1/runs")) as { readonly run_id: string }[]).map(({ run_id }) => run_id);
  const certain = (names: Iterable<string>) => [...names].filter((name) => !ledger.doubtful.has(name)).sort();
  expect(certain(grants)).toEqual(certain(ledger.grants));
  expect(certain(runs)).toEqual(certain(ledger.runs));
  for (const [run_id, auth_token] of ledger.endedTokens) {
    expect(await holder.request("POST", "/v1/runs", { run_id, auth_token })).toMatchObject({ status: 410 });
  }
  await holder[Symbol.asyncDispose]();
  expect((await verifyLog(await openLogSource(state.directory))).unprotected).toBe(0);
  const kept = await entriesOf(state);
  expect([...ledger.entries].filter((entry) => !kept.includes(entry))).toEqual([]);
}

async function entriesOf(state: HolderState): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const part of (await openLogSource(state.directory)).read()) {
    for (const line of "lines" in part ? part.lines : []) {
      const { kind, run, data } = JSON.parse(line);
      if (kind !== undefined) found.push(`${kind} ${run ?? data.name ?? ""}`);
    }
  }
  return found;
}
