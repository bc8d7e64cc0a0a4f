import { readFile } from "node:fs/promises";
import {
  eventually,
  type FaultProxy,
  type Fleet,
  openFaultProxy,
  type RunningCommand,
  startFleet,
} from "@gatehouse/testbed";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const IS_SOAK = process.env.TESTBED_SOAK === "1";
const BACK_WITHIN_MS = 30_000;
/** Longer than any ping or call waits. */
const HELD_MS = IS_SOAK ? 45_000 : 0;
const DIRECTIONS = ["up", "down", "both"] as const;
/** How a partition ends for what was sent meanwhile. */
const ENDS = ["arrives late", "is lost"] as const;
const CASES = DIRECTIONS.flatMap((direction) => ENDS.map((end) => ({ direction, end })));
/** Bytes after which a connection is cut: in the TLS handshake, in a call, behind several. */
const BYTES = IS_SOAK ? [0, 200, 600, 1_000, 1_500, 2_000, 2_500, 3_000, 4_000, 6_000] : [2_000];
const PLACES = (["up", "down"] as const).flatMap((direction) => BYTES.map((bytes) => ({ direction, bytes })));
const SHELL = ["sh", "-c"] as const;

/** The last ones; in the long form all. */
function someOf<T>(cases: readonly T[], count: number): readonly T[] {
  return IS_SOAK ? cases : cases.slice(-count);
}

/** A server behind a proxy that everybody reaches it by. */
interface Path extends AsyncDisposable {
  readonly fleet: Fleet;
  readonly proxy: FaultProxy;
}

async function startBehindProxy(): Promise<Path> {
  const stack = new AsyncDisposableStack();
  let port = 0;
  const proxy = stack.use(await openFaultProxy(() => ({ host: "127.0.0.1", port })));
  const fleet = stack.use(await startFleet({ url: `https://127.0.0.1:${proxy.port}` }));
  port = fleet.serverPort;
  await fleet.initOrg();
  return { fleet, proxy, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Waits until something hangs in the cut, then ends it. */
async function endCut(proxy: FaultProxy, end: (typeof ENDS)[number]): Promise<void> {
  await eventually("something hangs", () => proxy.holdsBack, { timeoutMs: 30_000 });
  if (HELD_MS > 0) await new Promise((resolve) => setTimeout(resolve, HELD_MS));
  if (end === "is lost") proxy.reset("cut");
  proxy.heal();
}

describe("a host becomes a node once, whatever of its enrollment is lost", () => {
  let path: Path;
  beforeAll(async () => {
    path = await startBehindProxy();
  });
  afterAll(() => path[Symbol.asyncDispose]());

  test.each(someOf(PLACES, 1))("all after $bytes bytes $direction", async ({ direction, bytes }) => {
    const { fleet, proxy } = path;
    const name = `${direction}-${bytes}`;
    const code = fleet.path(`${name}.code`);
    await fleet.operator(["nodes", "enroll-code", "--out", code]);
    proxy.impair(direction, { cutAfterBytes: bytes });
    const first = fleet.claim(name, code);
    await endCut(proxy, "is lost");
    const claim = await claimAgain(fleet, first, { name, code });
    const isTold = (line: string) => line.includes("fingerprint");
    const { fingerprint } = JSON.parse(await claim.line("the fingerprint", isTold, BACK_WITHIN_MS));
    await fleet.operator(["nodes", "confirm", name, "--fingerprint", fingerprint]);
    await claim.line("the confirmation", (line) => line.includes('"confirmed"'), BACK_WITHIN_MS);
    const nodes = (await fleet.operator(["nodes", "ls"])) as readonly { readonly name: string }[];
    expect(nodes.filter((node) => node.name === name)).toHaveLength(1);
    await fleet.json(["node", "refresh", "--state-dir", fleet.path(name)]);
  });

  test.each(someOf(CASES, 2))("its confirmation, when what goes $direction $end", async ({ direction, end }) => {
    const { fleet, proxy } = path;
    const name = `${direction}-${end.replaceAll(" ", "-")}`;
    const code = fleet.path(`${name}.code`);
    await fleet.operator(["nodes", "enroll-code", "--out", code]);
    const before = proxy.accepted;
    const claim = fleet.claim(name, code);
    const { fingerprint } = JSON.parse(await claim.line("the fingerprint", (line) => line.includes("fingerprint")));
    await eventually("the host waits", () => proxy.accepted > before);
    proxy.cut(direction, "open");
    const confirmed = await fleet.run(["nodes", "confirm", name, "--fingerprint", fingerprint, ...asOperator(fleet)]);
    expect(confirmed.code).toBe(0);
    if (direction !== "up") await eventually("something hangs", () => proxy.holdsBack, { timeoutMs: 30_000 });
    if (end === "is lost") proxy.reset("cut");
    proxy.heal();
    await claim.line("the confirmation", (line) => line.includes('"confirmed"'), BACK_WITHIN_MS);
    expect((await claim.finished).code).toBe(0);
  });
});

/** As a person would: what ended is begun again with the same code. */
async function claimAgain(fleet: Fleet, first: RunningCommand, { name, code }: { name: string; code: string }) {
  const isOver = await Promise.race([
    first.finished.then(() => true),
    first
      .line("the fingerprint", (line) => line.includes("fingerprint"), BACK_WITHIN_MS)
      .then(
        () => false,
        () => true,
      ),
  ]);
  return isOver ? fleet.claim(name, code) : first;
}

describe("a node's partition from its server", () => {
  let path: Path;
  let daemon: RunningCommand;
  beforeAll(async () => {
    path = await startBehindProxy();
    await path.fleet.enrollHost("n1");
  });
  afterAll(() => path[Symbol.asyncDispose]());

  /** One that lost nothing yet: with each connection that does not last a daemon waits longer before the next. */
  const startDaemon = async () => {
    daemon = path.fleet.start(["node", "run", "--state-dir", path.fleet.path("n1"), "--json"]);
    await connected(0);
  };
  const stopDaemon = async () => {
    daemon.kill("SIGTERM");
    await daemon.finished;
  };
  const accepted = () => daemon.stderr.split("command accepted").length - 1;
  const connections = () => daemon.stderr.split("connected to the server").length - 1;
  const connected = (before: number) =>
    eventually(
      () => `the connection; it said: ${daemon.stderr.slice(-3_000)}`,
      () => connections() > before,
      { timeoutMs: BACK_WITHIN_MS },
    );

  describe("during a command", () => {
    beforeAll(startDaemon);
    afterAll(stopDaemon);
    test.each(someOf(CASES, 4))("is done once when what goes $direction $end", async ({ direction, end }) => {
      const { fleet, proxy } = path;
      const before = [(await runsOf(fleet)).length, accepted()] as const;
      proxy.cut(direction, "open");
      const asked = fleet.start(["run", "--node", "n1", "--detach", "--json", ...asOperator(fleet), "--", "true"]);
      await endCut(proxy, end);
      const hasOutcome = (line: string) => line.includes("run_id");
      const { run_id: runId } = JSON.parse(await asked.line("the outcome", hasOutcome, BACK_WITHIN_MS));
      expect((await asked.finished).code).toBe(0);
      const runs = await runsOf(fleet);
      expect(runs.filter(({ run_id }) => run_id === runId)).toHaveLength(1);
      expect([runs.length, accepted()]).toEqual([before[0] + 1, before[1] + 1]);
      // Its end is an event, which travels by an upload of its own.
      await eventually("the server knows of its end", () => hasEnded(fleet, runId), { timeoutMs: BACK_WITHIN_MS });
    });
  });

  describe("during a change of its bundle", () => {
    beforeAll(startDaemon);
    afterAll(stopDaemon);
    test.each(someOf(CASES, 2))("is served when what goes $direction $end", async ({ direction, end }) => {
      const { fleet, proxy } = path;
      const before = await generationOf(fleet);
      proxy.cut(direction, "open");
      const policy = `mode: permissive\nrules:\n  - action: deny\n    hosts: [${direction}-${end.length}.example.com]\n`;
      expect((await fleet.run(["policy", "apply", "egress", "-", ...asOperator(fleet)], policy)).code).toBe(0);
      await endCut(proxy, end);
      const isServed = async () => {
        const { wanted, served } = await generationOf(fleet);
        return wanted > before.wanted && served === wanted;
      };
      await eventually("the generation is served", isServed, { timeoutMs: BACK_WITHIN_MS, everyMs: 200 });
    });
  });

  describe("while somebody is attached to a run", () => {
    beforeAll(startDaemon);
    afterAll(stopDaemon);
    test.each(someOf(CASES, 2))(
      "loses and doubles nothing when what goes $direction $end",
      async ({ direction, end }) => {
        const { fleet, proxy } = path;
        const echo = "while read line; do echo got $line; done; exit 5";
        const run = fleet.start(["run", "--node", "n1", ...asOperator(fleet), "--", ...SHELL, echo]);
        run.write("one\n");
        await run.line("the first answer", (line) => line === "got one", BACK_WITHIN_MS);
        proxy.cut(direction, "open");
        run.write("two\n");
        await endCut(proxy, end);
        await run.line("the second answer", (line) => line === "got two", BACK_WITHIN_MS);
        run.write("three\n");
        run.endInput();
        expect(await run.finished).toMatchObject({ code: 5, stdout: "got one\ngot two\ngot three\n" });
      },
    );
  });

  describe("during the handshake", () => {
    beforeAll(startDaemon);
    afterAll(stopDaemon);
    test.each(someOf(PLACES, 1))(
      "comes back although all was lost after $bytes bytes $direction",
      async ({ direction, bytes }) => {
        const { fleet, proxy } = path;
        const before = connections();
        proxy.impair(direction, { cutAfterBytes: bytes });
        proxy.reset();
        await endCut(proxy, "is lost");
        await connected(before);
        const done = await fleet.run(["run", "--node", "n1", ...asOperator(fleet), "--", ...SHELL, "exit 3"]);
        expect(done.code).toBe(3);
      },
    );
  });

  describe("by a network that turns bits over", () => {
    beforeAll(startDaemon);
    afterAll(stopDaemon);
    test("takes nothing that comes through it, and goes on when it is mended", async () => {
      const { fleet, proxy } = path;
      const before = { connections: connections(), accepted: accepted(), ...(await generationOf(fleet)) };
      proxy.impair("both", { corruptChance: 1 });
      const policy = "mode: permissive\nrules:\n  - action: deny\n    hosts: [corrupt.example.com]\n";
      const refused = await fleet.run(["policy", "apply", "egress", "-", ...asOperator(fleet)], policy);
      expect(refused).toMatchObject({ code: 6, stdout: "" });
      proxy.reset();
      const isAway = () => daemon.stderr.split("server is away").length > 2;
      await eventually("the node tries in vain", isAway, { timeoutMs: BACK_WITHIN_MS });
      expect([connections(), accepted()]).toEqual([before.connections, before.accepted]);
      proxy.heal();
      await connected(before.connections);
      expect(await generationOf(fleet)).toEqual({ wanted: before.wanted, served: before.served });
    });
  });

  test("leaves audit logs that verify, with as many runs as were ordered", async () => {
    const { fleet } = path;
    const out = fleet.path("audit.jsonl");
    await fleet.run(["audit", "export", "--out", out, ...asOperator(fleet)]);
    expect(await fleet.json(["audit", "verify", out])).toMatchObject({ ok: true });
    const lines = (await readFile(out, "utf8")).trim().split("\n");
    const entries = lines.map((line) => JSON.parse(line) as Entry);
    const ordered = entries.filter(({ kind, data }) => kind === "command.issued" && data?.kind === "start_run");
    expect(ordered.length).toBeGreaterThan(5);
    expect(await fleet.operator(["ls"])).toHaveLength(ordered.length);
  });
});

function asOperator(fleet: Fleet): readonly string[] {
  return ["--state-dir", fleet.path("o")];
}

async function runsOf(fleet: Fleet): Promise<readonly { readonly run_id: string; readonly state: string }[]> {
  return fleet.json(["ls", "--state-dir", fleet.path("n1")]);
}

async function hasEnded(fleet: Fleet, runId: string): Promise<boolean> {
  const runs = (await fleet.operator(["ls"])) as unknown as readonly { run_id: string; state: string }[];
  return runs.find(({ run_id }) => run_id === runId)?.state === "exited";
}

/** Of the node's bundle. */
async function generationOf(fleet: Fleet): Promise<{ readonly wanted: number; readonly served: number }> {
  const [node] = (await fleet.operator(["nodes", "ls"])) as unknown as readonly Readonly<Record<string, number>>[];
  return { wanted: node?.generation ?? 0, served: node?.applied_generation ?? 0 };
}

interface Entry {
  readonly kind?: string;
  readonly data?: { readonly kind?: string };
}
