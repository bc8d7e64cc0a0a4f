import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toProblem } from "@gatehouse/core";
import type { RequestRecord } from "@gatehouse/gate";
import { childEnvironment, exportLog, openLogSource, requestUnixOk, streamUnix, verifyLog } from "@gatehouse/kit";
import type { CreatedRun } from "@gatehouse/node";
import { signHead } from "../audit/sign-head.ts";
import { type DemoWorld, openDemoWorld } from "./demo-world.ts";
import { ALLOWED_HOST, DENIED_HOST } from "./fake-service.ts";
import { type ProbeLine, probeVariables } from "./probe.ts";
import { processesIn, scanSandbox } from "./scan-sandbox.ts";

/** One promise, tried for real. `ok` needs the control too: the same probe must succeed where nothing enforces. */
export interface DemoCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

const REVOKED_WITHIN_MS = 10_000;
const OUTSIDE_TIMEOUT_MS = 20_000;

/** Opens a world, runs the probe outside and inside, and judges what it saw. */
export async function runChecks(onCheck: (check: DemoCheck) => void): Promise<readonly DemoCheck[]> {
  await using world = await openDemoWorld();
  const checks: DemoCheck[] = [];
  const judge = (name: string, ok: boolean, detail: string) => {
    const check = { name, ok, detail };
    checks.push(check);
    onCheck(check);
  };
  const outside = await probeOutside(world);
  const { run_id: runId } = await startInside(world);
  const stopped = new AbortController();
  const lines = readLines(world, runId, stopped.signal);
  const inside = await readUntilLoop(lines);
  judgeCalls({ world, inside, outside, judge });
  judgeScan({ world, inside, judge });
  judgeRoutes(world, judge);
  await judgeRecords({ world, runId, judge });
  await judgeRevocation({ world, lines, judge });
  await judgeAudit({ world, runId, judge });
  stopped.abort();
  await requestUnixOk({ socketPath: world.socketPath, method: "DELETE", path: `/v1/sandboxes/${runId}` });
  return checks;
}

type Judge = (name: string, ok: boolean, detail: string) => void;

/** The same probe with nothing around it: straight to the service, without a credential. */
function probeOutside(world: DemoWorld): Promise<readonly ProbeLine[]> {
  const hosts = [ALLOWED_HOST, DENIED_HOST];
  // Outside, too, the demo's names are known to nobody: the control's connections go to the service's own address.
  const preload = `import dns from "node:dns"; const lookup = dns.lookup; const names = ${JSON.stringify(hosts)};
dns.lookup = (name, options, done) => { const act = done ?? options; if (!names.includes(name)) return lookup(name, options, done);
  if (typeof options === "object" && options.all) act(null, [{ address: "127.0.0.1", family: 4 }]); else act(null, "127.0.0.1", 4); };`;
  const env = {
    ...childEnvironment(),
    ...probeVariables(world.targets("outside")),
    NODE_EXTRA_CA_CERTS: world.caPath,
  };
  const args = ["--import", `data:text/javascript,${encodeURIComponent(preload)}`, world.probePath];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { env, timeout: OUTSIDE_TIMEOUT_MS }, (failure, stdout) => {
      if (failure !== null) reject(failure);
      else
        resolve(
          stdout
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line) as ProbeLine),
        );
    });
  });
}

/** Starts the probe in a sandbox of the world, with the grant. */
export async function startInside(world: DemoWorld): Promise<CreatedRun> {
  return (await requestUnixOk({
    socketPath: world.socketPath,
    method: "POST",
    path: "/v1/sandboxes",
    body: {
      command: ["/.gatehouse/node", world.probePath],
      workspace: world.workspace,
      grants: ["demo"],
      policy: {
        mode: "strict",
        rules: [{ action: "allow", hosts: [`${ALLOWED_HOST}:${world.service.port}`], cidr: ["127.0.0.0/8"] }],
      },
      env: { ...probeVariables(world.targets("inside")), DEMO_CONTROL: world.control },
      agent: "demo",
      detach: true,
    },
  })) as CreatedRun;
}

/** What the probe says, as it says it. */
export async function* readLines(world: DemoWorld, runId: string, signal: AbortSignal): AsyncGenerator<ProbeLine> {
  const path = `/v1/sandboxes/${runId}/logs?follow`;
  for await (const line of streamUnix({ socketPath: world.socketPath, path, signal })) {
    yield JSON.parse(line) as ProbeLine;
  }
}

/** What the probe says before it goes into its loop. The lines go on: `for await` would end them. */
async function readUntilLoop(lines: AsyncGenerator<ProbeLine>): Promise<readonly ProbeLine[]> {
  const seen: ProbeLine[] = [];
  for (;;) {
    const { value, done } = await lines.next();
    if (done) return seen;
    seen.push(value);
    if (value.step === "loop") return seen;
  }
}

interface Observed {
  readonly world: DemoWorld;
  readonly inside: readonly ProbeLine[];
  readonly outside: readonly ProbeLine[];
  readonly judge: Judge;
}

type CallLine = Extract<ProbeLine, { readonly step: "call" | "denied" }>;

export function callOf(lines: readonly ProbeLine[], step: CallLine["step"]): CallLine {
  const found = lines.find((line): line is CallLine => line.step === step);
  return found ?? { step, status: 0, body: "nothing was seen", header: "" };
}

function judgeCalls({ world, inside, outside, judge }: Observed): void {
  const call = callOf(inside, "call");
  const bare = callOf(outside, "call");
  judge(
    "sandboxed-call-authenticated",
    call.status === 200 && bare.status === 401,
    `${ALLOWED_HOST} answered ${call.status} to the sandbox; control: ${bare.status} to the same call without a gate`,
  );
  const denied = callOf(inside, "denied");
  const reached = callOf(outside, "denied");
  judge(
    "denied-host-refused",
    denied.status === 0 || denied.status === 403
      ? reached.status === 401 && world.service.seen.get(DENIED_HOST) === 1
      : false,
    `${DENIED_HOST} saw ${world.service.seen.get(DENIED_HOST) ?? 0} request, the control's (answered ${reached.status}), none of the sandbox`,
  );
  const echoed = `${call.body}${call.header}`;
  const control = `${bare.body}${bare.header}`.includes("you_sent");
  judge(
    "response-carries-no-secret",
    !echoed.includes(world.credential) && /"authenticated":true/.test(call.body) && call.header !== "" && control,
    `the service says back what it was sent; the sandbox read ${call.header.slice(0, 24)}… in its place`,
  );
}

function judgeScan({ world, inside, judge }: Omit<Observed, "outside">): void {
  const namespace = inside.find((line) => line.step === "namespace")?.pid ?? "";
  const pids = processesIn(namespace);
  const found = scanSandbox(pids, [world.credential, world.control]);
  const places = [...(found.get(world.control) ?? [])];
  const isScannerProven = ["environment", "memory", "files"].every((place) => places.includes(place as never));
  judge(
    "secret-not-in-sandbox",
    pids.length > 0 && found.get(world.credential)?.size === 0 && isScannerProven,
    `${pids.length} processes scanned: not in environment, arguments, files or memory; control: another planted value found in ${places.join(", ")}`,
  );
}

function judgeRoutes({ routes }: DemoWorld, judge: Judge): void {
  const kinds = ["tcp", "udp", "dns", "unix", "abstract"];
  const leaked = kinds.filter((kind) => routes.arrived.has(`inside:${kind}`));
  const proven = kinds.filter((kind) => routes.arrived.has(`outside:${kind}`));
  judge(
    "no-route-but-gate",
    leaked.length === 0 && proven.length === kinds.length,
    `${kinds.join(", ")}: nothing arrived from inside${leaked.length > 0 ? ` but ${leaked.join(", ")}` : ""}; control: ${proven.length} of ${kinds.length} arrived from outside`,
  );
}

interface RunObserved {
  readonly world: DemoWorld;
  readonly runId: string;
  readonly judge: Judge;
}

async function judgeRecords({ world, runId, judge }: RunObserved) {
  const records: RequestRecord[] = [];
  const lines = streamUnix({
    socketPath: world.socketPath,
    path: `/v1/records?run=${runId}&follow`,
    signal: AbortSignal.timeout(5_000),
  });
  for await (const line of lines) {
    records.push(JSON.parse(line) as RequestRecord);
    if (records.some(isAllowed) && records.some(isDenied)) break;
  }
  let others = 0;
  for await (const _ of streamUnix({ socketPath: world.socketPath, path: "/v1/records?run=nobody" })) others += 1;
  const allowed = records.find(isAllowed);
  judge(
    "request-recorded",
    allowed !== undefined &&
      records.some(isDenied) &&
      others === 0 &&
      !JSON.stringify(records).includes(world.credential),
    `${allowed?.method ?? "?"} ${allowed?.url ?? "?"} with grant ${allowed?.grants.join() ?? "?"}, and the refusal of ${DENIED_HOST}; control: no record of a run that never was`,
  );
}

function isAllowed({ host, decision, grants }: RequestRecord): boolean {
  return host === ALLOWED_HOST && decision === "allowed" && grants.includes("demo");
}

function isDenied({ url, decision }: RequestRecord): boolean {
  return decision === "denied" && url.includes(DENIED_HOST);
}

async function judgeRevocation({
  world,
  lines,
  judge,
}: {
  readonly world: DemoWorld;
  readonly lines: AsyncGenerator<ProbeLine>;
  readonly judge: Judge;
}) {
  const before = await nextStatus(lines);
  await requestUnixOk({ socketPath: world.socketPath, method: "DELETE", path: "/v1/grants/demo" });
  const revokedAt = performance.now();
  let status = before;
  // One that was under way when the grant was taken back is refused by the gate; the next one goes without.
  while ((status === 200 || status === 403) && performance.now() - revokedAt < REVOKED_WITHIN_MS)
    status = await nextStatus(lines);
  judge(
    "revoked-next-request",
    before === 200 && status === 401,
    `the loop on one open connection was answered ${before}; after the grant was revoked, ${status}`,
  );
}

/** Exports what is on record, verifies it, and changes one letter of a copy as the control. */
async function judgeAudit({ world, runId, judge }: RunObserved) {
  await signHead(world.socketPath);
  const path = join(world.directory, "audit.jsonl");
  const { head, heads } = await exportLog(await openLogSource(world.stateDir), path);
  const text = await readFile(path, "utf8");
  const kinds = new Set(text.split("\n").flatMap((line) => /"kind":"([a-z_.]+)"/.exec(line)?.[1] ?? []));
  const wanted = ["grant.created", "run.registered", "request.injected", "request.denied", "grant.revoked"];
  const missing = wanted.filter((kind) => !kinds.has(kind));
  const changed = join(world.directory, "changed.jsonl");
  await writeFile(changed, text.replace(DENIED_HOST, ALLOWED_HOST));
  const found = await verifyLog(await openLogSource(changed)).then(
    () => "nothing",
    (failure: unknown) => toProblem(failure).detail ?? "",
  );
  judge(
    "audit-verifies",
    missing.length === 0 && text.includes(runId) && !text.includes(world.credential) && found.includes("was changed"),
    `${head.size} entries under ${heads} signed ${heads === 1 ? "head" : "heads"}, ${missing.length === 0 ? "each kind among them" : `without ${missing.join(", ")}`}; control: in a copy with another host, ${found}`,
  );
}

async function nextStatus(lines: AsyncGenerator<ProbeLine>): Promise<number> {
  for (;;) {
    const { value, done } = await lines.next();
    if (done) return 0;
    if (value.step === "loop") return value.status;
  }
}
