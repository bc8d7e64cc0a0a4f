import { chmod, mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { REPOSITORY, runProcess, startWorld, type World } from "@gatehouse/testbed";
import { describe, expect, test } from "vitest";

interface Row {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly fix?: string;
  readonly needed: boolean;
}

interface Examined {
  readonly code: number;
  readonly row: (name: string) => Row;
  /** Names of the rows that did not hold and should. */
  readonly broken: readonly string[];
}

function read(code: number, json: string): Examined {
  const { checks } = JSON.parse(json) as { readonly checks: readonly Row[] };
  return {
    code,
    row: (name) => {
      const found = checks.find((check) => check.name === name);
      if (found === undefined) throw new Error(`no row ${name} in ${json}`);
      return found;
    },
    broken: checks.filter(({ ok, needed }) => !ok && needed).map(({ name }) => name),
  };
}

async function examine(world: World, flags: readonly string[] = ["--config", world.paths.config]): Promise<Examined> {
  const { code, stdout, stderr } = await world.cli(["doctor", "--json", ...flags]);
  expect(stderr).toBe("");
  return read(code, stdout);
}

/** Does what a fix says, in the words in which it says it. */
async function obey(fix: string | undefined): Promise<void> {
  const { code, stderr } = await runProcess("sh", ["-c", fix ?? "false"]);
  expect(code, `${fix}: ${stderr}`).toBe(0);
}

function commandOf({ paths }: World) {
  return {
    command: `${process.execPath} ${REPOSITORY}/dist/gatehouse.js`,
    settings: `--state-dir ${paths.stateDir} --config ${paths.config}`,
  };
}

/** Runs a script in namespaces of its own; `doctor` prints a line `rc JSON` each time. */
async function examineInside(world: World, flags: readonly string[], script: string): Promise<readonly Examined[]> {
  const { command, settings } = commandOf(world);
  const whole = `
    doctor() { code=0; found=$(${command} doctor ${settings} --json) || code=$?; echo "$code $found"; }
    set -e
    ${script}`;
  const { code, stdout, stderr } = await runProcess("unshare", [...flags, "sh", "-c", whole], {
    env: world.environment,
    timeoutMs: 110_000,
  });
  expect(code, stderr).toBe(0);
  return stdout
    .trim()
    .split("\n")
    .map((line) => read(Number(line.slice(0, line.indexOf(" "))), line.slice(line.indexOf(" ") + 1)));
}

describe("doctor", () => {
  test("proves every hop of a machine that is in order, and leaves nothing", async () => {
    await using world = await startWorld();
    const { code, row, broken } = await examine(world);
    expect(broken).toEqual([]);
    expect(code).toBe(0);
    expect(row("gate").detail).toContain("403 gate.policy_denied");
    expect(row("records").detail).toContain("gate.policy_denied");
    expect(row("end-to-end").detail).toContain("with the credential attached");
    expect((await world.request("GET", "/v1/runs")).body).toEqual([]);
    expect((await world.request("GET", "/v1/grants")).body).toEqual([]);
    expect(await world.cliJson(["ls"])).toEqual([]);
    expect((await world.cli(["trace"])).stdout).not.toContain("gatehouse-doctor");
  });

  test("says without a daemon how to start one, and is content", async () => {
    await using world = await startWorld({ isStarted: false });
    const { code, row } = await examine(world);
    expect(code).toBe(0);
    expect(row("daemon")).toMatchObject({ ok: false, needed: false, fix: "gatehouse up" });
  });
});

describe("doctor names what is broken, and its fix mends it", () => {
  test("a state directory that others may enter", async () => {
    await using world = await startWorld({ isStarted: false });
    await mkdir(world.paths.stateDir);
    await chmod(world.paths.stateDir, 0o755);
    const { code, row, broken } = await examine(world);
    expect([code, broken]).toEqual([1, ["state-directory"]]);
    await obey(row("state-directory").fix);
    expect(await examine(world)).toMatchObject({ code: 0, broken: [] });
  });

  test("a state directory that is a link", async () => {
    await using world = await startWorld({ isStarted: false });
    const target = join(world.paths.directory, "target");
    await mkdir(target, { mode: 0o700 });
    await symlink(target, world.paths.stateDir);
    const { code, row, broken } = await examine(world);
    expect([code, broken]).toEqual([1, ["state-directory"]]);
    const [, ...flags] = row("state-directory").fix?.split(": ") ?? [];
    expect(flags).toEqual([`--state-dir ${target}`]);
    expect(await examine(world, ["--config", world.paths.config, "--state-dir", target])).toMatchObject({ code: 0 });
    await rm(world.paths.stateDir);
  });

  test("a directory for temporary files that any user may change, or that is not there", async () => {
    await using world = await startWorld({ isStarted: false });
    const temporary = join(world.paths.directory, "tmp");
    await chmod(temporary, 0o777);
    const open = await examine(world);
    expect([open.code, open.broken]).toEqual([1, ["temporary-files", "end-to-end"]]);
    await obey(open.row("temporary-files").fix?.split(", or: ")[1]);
    await rm(temporary, { recursive: true });
    const absent = await examine(world);
    expect([absent.code, absent.broken]).toEqual([
      1,
      ["temporary-files", "driver-bubblewrap", "driver-unshare", "end-to-end"],
    ]);
  });

  test("a daemon whose socket is gone", async () => {
    await using world = await startWorld();
    await rm(join(world.paths.stateDir, "daemon.sock"));
    const { code, row, broken } = await examine(world);
    expect([code, broken]).toEqual([1, ["socket"]]);
    expect(row("socket").fix).toBe(`Stop process ${world.daemon.pid} and start gatehouse up again.`);
    await world.daemon.kill();
    await world.daemon.start();
    expect(await examine(world)).toMatchObject({ code: 0, broken: [] });
  });

  test("a socket that others may use", async () => {
    await using world = await startWorld();
    await chmod(join(world.paths.stateDir, "daemon.sock"), 0o666);
    const { code, row, broken } = await examine(world);
    expect([code, broken]).toEqual([1, ["socket"]]);
    await obey(row("socket").fix);
    expect(await examine(world)).toMatchObject({ code: 0, broken: [] });
  });

  test("a gate that does not answer", async () => {
    await using world = await startWorld({ settings: { gate: { workers: 1 } } });
    const [worker = 0] = await world.pids("worker");
    process.kill(worker, "SIGSTOP");
    const { code, row, broken } = await examine(world);
    expect([code, broken]).toEqual([1, ["gate"]]);
    expect(row("gate")).toMatchObject({ detail: expect.stringContaining("no answer in time") });
    process.kill(worker, "SIGCONT");
    expect(await examine(world)).toMatchObject({ code: 0, broken: [] });
  });

  test("an authority's file that is not there, or is none", async () => {
    await using world = await startWorld({ isStarted: false });
    const config = JSON.parse(await readFile(world.paths.config, "utf8"));
    const path = config.gate.upstreamCa;
    await rename(path, `${path}.away`);
    const gone = await examine(world);
    expect([gone.code, gone.broken]).toEqual([1, ["upstream-ca"]]);
    expect(gone.row("upstream-ca")).toMatchObject({
      detail: expect.stringContaining(path),
      fix: expect.stringContaining("gate.upstreamCa"),
    });
    await writeFile(path, "no certificate");
    expect((await examine(world)).row("upstream-ca").detail).toContain("holds no certificate");
    await rename(`${path}.away`, path);
    expect(await examine(world)).toMatchObject({ code: 0, broken: [] });
  });

  test("a setting that nobody knows", async () => {
    await using world = await startWorld({ isStarted: false });
    const config = join(world.paths.directory, "wrong.yaml");
    await writeFile(config, "gate:\n  workres: 3\n");
    const { code, row, broken } = await examine(world, ["--config", config]);
    expect([code, broken]).toEqual([1, ["settings"]]);
    expect(row("settings").detail).toContain("Did you mean gate.workers?");
    await writeFile(config, "gate:\n  workers: 3\n");
    expect(await examine(world, ["--config", config])).toMatchObject({ code: 0, broken: [] });
  });

  test("a disk without room", async () => {
    await using world = await startWorld({ isStarted: false });
    const state = world.paths.stateDir;
    await mkdir(state, { mode: 0o700 });
    const [small, full, mended] = await examineInside(
      world,
      ["-m"],
      `mount -t tmpfs -o size=1m,mode=700 tmpfs ${state}
       doctor
       cat /dev/zero > ${state}/filler 2>/dev/null || true
       doctor
       rm ${state}/filler; mount -o remount,size=128m ${state}
       doctor`,
    );
    expect([small?.code, small?.broken]).toEqual([1, ["free-space"]]);
    expect([full?.code, full?.broken]).toEqual([1, ["free-space", "state-write"]]);
    expect(full?.row("state-write").fix).toContain("make room");
    expect(mended).toMatchObject({ code: 0, broken: [] });
  });

  test("a resolver that does not answer, which is no reason to refuse", async () => {
    await using world = await startWorld({ isStarted: false });
    const resolver = join(world.paths.directory, "resolv.conf");
    // Port 53 of this address is nobody's: the namespace has its own loopback, and it is down.
    await writeFile(resolver, "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n");
    const [broken, mended] = await examineInside(
      world,
      ["-m"],
      `mount --bind ${resolver} /etc/resolv.conf
       doctor
       umount /etc/resolv.conf
       doctor`,
    );
    expect(broken?.row("dns")).toMatchObject({ ok: false, needed: false, fix: expect.stringContaining("resolv.conf") });
    expect(mended?.code).toBe(0);
  });

  test("a sandbox tool that is not installed", async () => {
    await using world = await startWorld({ isStarted: false });
    const real = join(world.paths.directory, "real");
    const fewer = join(world.paths.directory, "fewer");
    await mkdir(real);
    await mkdir(fewer);
    const [missing, installed] = await examineInside(
      world,
      ["-m"],
      `mount --bind /usr/bin ${real}
       ln -s ${real}/* ${fewer}/
       rm ${fewer}/bwrap
       mount --bind ${fewer} /usr/bin
       doctor
       umount /usr/bin
       doctor`,
    );
    expect(missing?.row("driver-bubblewrap")).toMatchObject({
      ok: false,
      detail: "bwrap is not installed",
      fix: expect.stringContaining("apt-get install bubblewrap"),
    });
    expect(installed).toMatchObject({ code: 0, broken: [] });
  });

  test("user namespaces that are switched off", async () => {
    await using world = await startWorld({ isStarted: false });
    const [off] = await examineInside(
      world,
      ["-Ur"],
      `echo 0 > /proc/sys/user/max_user_namespaces
       doctor`,
    );
    expect(off?.code).toBe(3);
    expect(off?.broken).toEqual(["driver-bubblewrap", "driver-unshare", "end-to-end"]);
    expect(off?.row("driver-unshare").fix).toContain("sysctl -w user.max_user_namespaces=10000");
  });

  test("records that cannot be written", async () => {
    await using world = await startWorld({ isStarted: false });
    const records = join(world.paths.stateDir, "records");
    await mkdir(records, { recursive: true, mode: 0o700 });
    await chmod(world.paths.stateDir, 0o700);
    const ready = join(world.paths.directory, "up.txt");
    const { command, settings } = commandOf(world);
    const [full, mended] = await examineInside(
      world,
      ["-m"],
      `mount -t tmpfs -o size=64k,mode=700 tmpfs ${records}
       cat /dev/zero > ${records}/filler 2>/dev/null || true
       ${command} up ${settings} --json > ${ready} 2>&1 &
       trap "kill $!; wait" EXIT
       for i in $(seq 400); do grep -q ready ${ready} && break; sleep 0.05; done
       doctor
       rm ${records}/filler
       doctor`,
    );
    expect(full?.code).toBe(1);
    expect(full?.broken).toContain("records");
    expect(full?.row("records").fix).toContain("Make room");
    expect(mended?.broken).not.toContain("records");
  });
});
