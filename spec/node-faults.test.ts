import { DatabaseSync } from "node:sqlite";
import { breakCall, breakEach, eventually, failCalls, productCommand, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { DaemonUnderFaults, expectCommandsEndedOnce } from "./daemon-under-faults.ts";
import { openHosts, SYNC } from "./host-under-faults.ts";

const BACK_WITHIN_MS = 30_000;
const SOAK_MS = 36_000_000;
const FAULTS = [
  { name: "kill -9", call: SYNC, fault: "signal=SIGKILL", samples: 2 },
  { name: "EIO", call: SYNC, fault: "error=EIO", samples: 1 },
  { name: "a full disk", call: SYNC, fault: "error=ENOSPC", samples: 1 },
] as const;

test(
  "`node enroll` that the disk or kill -9 stops at a sync goes on by the same command, and the host is one node",
  async () => {
    await using hosts = await openHosts();
    const first = hosts.next();
    await first.createCode();
    const count = await hosts.count((inside) => first.enroll(inside));
    for (const fault of FAULTS) {
      await breakEach({ ...fault, name: `node enroll: ${fault.name}`, count }, async (inside) => {
        const host = hosts.next();
        await host.createCode();
        await host.enroll(inside);
        const since = performance.now();
        expect(await host.enroll()).toBe(true);
        expect(performance.now() - since).toBeLessThan(BACK_WITHIN_MS);
        expect(await host.does("refresh")).toBe(true);
        expect(await host.rows()).toMatchObject([{ state: "confirmed" }]);
      });
    }
  },
  SOAK_MS,
);

test(
  "`node rotate` that is stopped at a sync leaves the node a key that opens sessions",
  async () => {
    await using hosts = await openHosts();
    const host = hosts.next();
    await host.createCode();
    expect(await host.enroll()).toBe(true);
    const count = await hosts.count((inside) => host.does("rotate", inside));
    for (const fault of FAULTS) {
      await breakEach({ ...fault, name: `node rotate: ${fault.name}`, count, samples: 1 }, async (inside) => {
        await host.does("rotate", inside);
        expect(await host.does("refresh")).toBe(true);
        expect(await host.does("rotate")).toBe(true);
      });
    }
  },
  SOAK_MS,
);

test(
  "`node leave` that is stopped at a sync goes on by the same command; host and server then know nothing of one another",
  async () => {
    await using hosts = await openHosts();
    const enrolled = async () => {
      const host = hosts.next();
      await host.createCode();
      expect(await host.enroll()).toBe(true);
      return host;
    };
    const first = await enrolled();
    const count = await hosts.count((inside) => first.does("leave", inside));
    for (const fault of FAULTS) {
      await breakEach({ ...fault, name: `node leave: ${fault.name}`, count, samples: 1 }, async (inside) => {
        const host = await enrolled();
        await host.does("leave", inside);
        // At the last sync it had left.
        await host.does("leave");
        expect(await host.status()).toBe("alone");
        expect(host.hasKey).toBe(false);
        expect(await host.rows()).toEqual([]);
        await host.createCode();
      });
    }
  },
  SOAK_MS,
);

test(
  "a daemon that is stopped at a sync does every command at most once, and loses no run, event or record",
  async () => {
    await using hosts = await openHosts();
    const host = hosts.next();
    await host.createCode();
    expect(await host.enroll()).toBe(true);
    const daemon = await DaemonUnderFaults.open(hosts.fleet, host.name);
    // What is made once, at the first start, is made before anything is counted.
    await daemon.start();
    await daemon.stop("SIGTERM");
    const play = async (inside: readonly string[]) => {
      const isUp = await daemon.start(inside);
      const asked = [daemon.ask(), daemon.ask()];
      await Promise.race([daemon.ended(), Promise.all(asked.map(({ operator }) => operator.finished))]);
      await daemon.stop("SIGKILL");
      return { isUp, asked };
    };
    const count = await hosts.count(async (inside) => (await play(inside)).isUp);
    for (const fault of FAULTS) {
      await breakEach({ ...fault, name: `node run: ${fault.name}`, count, samples: 1 }, async (inside) => {
        const { asked } = await play(inside);
        const since = performance.now();
        expect(await daemon.start()).toBe(true);
        expect(performance.now() - since).toBeLessThan(BACK_WITHIN_MS);
        await daemon.expectOnce(asked);
        await daemon.expectAllOnRecord();
        await daemon.stop("SIGTERM");
      });
    }
    await expectCommandsEndedOnce(hosts.fleet);
  },
  SOAK_MS,
);

test("a daemon whose journal the disk refuses at its start says so and ends; later it takes no command and stays connected", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const own = ["node", "run", "--state-dir", fleet.path("n1"), "--json"];
  const path = fleet.path("n1", "journal.db-wal");
  const inside = breakCall({ call: "fsync", fault: "error=EIO", when: "1", path });
  const refused = await fleet.startOther([...inside, ...productCommand(), ...own]).finished;
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("journal.db cannot be opened");
  const daemon = fleet.start(own);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  const connections = () => daemon.stderr.split("connected to the server").length - 1;
  await eventually("the connection", () => connections() === 1, { timeoutMs: 30_000 });

  const ping = () => fleet.run(["nodes", "ping", "n1", "--state-dir", fleet.path("o")]);
  expect((await ping()).code).toBe(0);
  using journal = new DatabaseSync(fleet.path("n1", "journal.db"), { timeout: 5_000 });
  journal.exec("update commands set not_after = 0");
  await using failing = failCalls(daemon.pid, "pwrite64", "ENOSPC");
  const refusal = expect.stringContaining("State could not be written");
  await eventually("a refusal", async () => refusal.asymmetricMatch((await ping()).stderr));
  // What the journal would forget at each connection it keeps, and the node hears its server all the same.
  await fleet.stopServer();
  await fleet.startServer();
  await eventually("the connection with a full disk", () => connections() === 2, { timeoutMs: 30_000 });
  await failing[Symbol.asyncDispose]();
  await eventually("a ping that is answered", async () => (await ping()).code === 0);
});
