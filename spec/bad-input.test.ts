import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  eventually,
  openContactCounter,
  plantValue,
  REPOSITORY,
  runProcess,
  startWorld,
  type World,
} from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { openGrantedApi } from "./granted-api.ts";

/** Starts the daemon where it must not come up; returns what it said. */
async function failToStart(world: World) {
  const finished = await world.cli(["up", "--json"], { timeoutMs: 15_000 });
  expect(finished.stdout).not.toContain('"ready":true');
  expect(finished.stderr + finished.stdout).not.toMatch(/\n\s+at .+:\d+:\d+/);
  return { code: finished.code, said: finished.stderr + finished.stdout };
}

test("malformed JSON on the socket is 400 and changes nothing", async () => {
  await using world = await startWorld();
  await world.request("POST", "/v1/runs", { run_id: "kept" });
  const isDeep = (before: string, after: string) => before.repeat(20_000) + after.repeat(20_000);
  const deep = [
    isDeep("[", "]"),
    `{"run_id":"a","x":${isDeep("[", "]")}}`,
    `${'{"x":'.repeat(20_000)}1${"}".repeat(20_000)}`,
  ];
  const cases = ["{", "[]", "null", '"text"', '{"run_id": 5}', '{"run_id":"a"', "\u0000", "", ...deep];
  for (const body of cases) {
    const answer = await sendRaw(world, [
      "POST /v1/runs HTTP/1.1",
      "Host: localhost",
      "Content-Type: application/json",
      `Content-Length: ${Buffer.byteLength(body)}`,
      "Connection: close",
      "",
      body,
    ]);
    expect(answer, body.slice(0, 64)).toMatch(/^HTTP\/1\.1 400 /);
    expect(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n")))).toMatchObject({ error: expect.any(String) });
  }
  expect(await sendRaw(world, ["nonsense", "", ""])).toMatch(/^HTTP\/1\.1 400 /);
  expect((await world.request("GET", "/v1/runs")).body).toMatchObject([{ run_id: "kept" }]);
});

test("an unknown service is refused with the known ones, and nothing is stored", async () => {
  await using world = await startWorld();
  const value = plantValue();
  const { code, stderr, stdout } = await world.cli(["grant", "githbu"], { stdin: value });
  expect(code).toBe(2);
  expect(stderr).toContain("github");
  expect(stderr + stdout).not.toContain(value);
  expect(await world.cliJson(["credentials", "ls"])).toEqual([]);
});

test("an empty or unusable value is refused", async () => {
  await using world = await startWorld();
  for (const stdin of ["", "\n", "two\nlines\n", "nul\u0000byte"]) {
    const { code } = await world.cli(["grant", "github"], { stdin });
    expect(code, JSON.stringify(stdin)).toBe(2);
  }
  expect(await world.cliJson(["credentials", "ls"])).toEqual([]);
});

test("authorities that cannot be read keep the daemon from starting, in one sentence", async () => {
  await using world = await startWorld({ isStarted: false });
  const file = join(world.paths.directory, "upstream-ca.pem");
  await writeFile(file, "no certificate");
  expect(await failToStart(world)).toMatchObject({ code: 2, said: expect.stringContaining("holds no certificate") });
  await rm(file);
  expect(await failToStart(world)).toMatchObject({ code: 2, said: expect.stringContaining("(ENOENT)") });
});

test("Ctrl-C and Ctrl-D at a prompt end with 130, and nothing is stored", async () => {
  await using world = await startWorld();
  const script = join(world.paths.directory, "prompt.py");
  await writeFile(script, PROMPTED);
  const command = [process.execPath, `${REPOSITORY}/dist/gatehouse.js`, "grant", "github"];
  // A terminal that does not know its width says 0.
  for (const [key, columns] of [
    ["03", "101"],
    ["04", "0"],
  ] as const) {
    const env = { ...world.environment, TERM: "xterm", GATEHOUSE_STATE_DIR: world.paths.stateDir };
    const { code, stdout } = await runProcess("/usr/bin/python3", [script, key, columns, ...command], { env });
    expect(stdout).toContain("Cancelled. Nothing was stored.");
    expect(stdout).toContain("(not shown)");
    expect(stdout).not.toContain("Warning");
    expect(code).toBe(130);
  }
  expect(await world.cliJson(["credentials", "ls"])).toEqual([]);
});

test("an audit log that was changed fails doctor while no daemon runs, and the daemon's start, with what to do", async () => {
  await using world = await startWorld();
  await world.daemon.stop();
  const folder = join(world.paths.stateDir, "audit");
  const examine = async () => {
    const { stdout } = await world.cli(["doctor", "--json"]);
    const { checks } = JSON.parse(stdout) as { readonly checks: readonly { readonly name: string }[] };
    return checks.find(({ name }) => name === "audit");
  };
  expect(await examine()).toMatchObject({ ok: true });
  for (const name of (await readdir(folder)).filter((file) => file.endsWith(".jsonl"))) {
    const text = await readFile(join(folder, name), "utf8");
    await writeFile(join(folder, name), text.replace("gate.started", "gate.stopped"));
  }
  expect(await examine()).toMatchObject({ ok: false, needed: true, fix: expect.stringContaining(folder) });
  expect(await failToStart(world)).toMatchObject({ said: expect.stringContaining(`move ${folder} away`) });
});

test("where namespaces are not permitted, run is 125 and doctor 3, and both name the probe and the fix", async () => {
  await using world = await startWorld({ isStarted: false });
  const command = `${process.execPath} ${REPOSITORY}/dist/gatehouse.js`;
  const state = `--state-dir ${world.paths.stateDir}`;
  // The limits belong to the new user namespace and to nothing else on this machine.
  const script = `
    for kind in user net mnt pid; do echo 0 > /proc/sys/user/max_\${kind}_namespaces; done
    ${command} up --json ${state} --config ${world.paths.config} > ${world.paths.directory}/up.txt 2>&1 &
    for i in $(seq 200); do grep -q ready ${world.paths.directory}/up.txt && break; sleep 0.05; done
    ${command} run ${state} -- echo ran; echo "run $?"
    ${command} doctor ${state}; echo "doctor $?"
    kill $!; wait $!`;
  const { stdout, stderr } = await runProcess("unshare", ["-Ur", "sh", "-c", script], {
    env: world.environment,
    cwd: world.paths.workspace,
  });
  expect(stdout).not.toContain("ran\n");
  expect(stdout, stderr).toContain("run 125\n");
  expect(stdout).toContain("doctor 3\n");
  expect(stderr).toMatch(/namespace/i);
  expect(stdout + stderr).toMatch(/user[_. ]|max_user_namespaces|unprivileged_userns_clone|sysctl/);
});

test("an explicit port that is busy stops the start, naming the port", async () => {
  await using counter = await openContactCounter();
  await using world = await startWorld({ isStarted: false, settings: { gate: { port: counter.port } } });
  const { code, said } = await failToStart(world);
  expect(code).toBe(2);
  expect(said).toContain(String(counter.port));
});

test("a corrupt or truncated runs.json is set aside whole, said aloud, and opens nothing", async () => {
  await using world = await startWorld();
  await using granted = await openGrantedApi(world);
  await world.request("POST", "/v1/runs", { run_id: "kept", grants: [granted.grant] });
  await world.daemon.stop();
  const path = join(world.paths.stateDir, "runs.json");
  const whole = await readFile(path);
  const broken: readonly Buffer[] = [
    whole.subarray(0, whole.length - 5),
    Buffer.from("not JSON"),
    Buffer.from('{"version": 99, "runs": []}'),
    Buffer.alloc(0),
  ];
  for (const content of broken) {
    await writeFile(path, content, { mode: 0o600 });
    await world.daemon.start();
    expect((await world.request("GET", "/v1/runs")).body).toEqual([]);
    const { runs_refused } = (await world.request("GET", "/v1/health")).body as { runs_refused: { reason: string }[] };
    const aside = /runs\.json\.[\w.-]+/.exec(runs_refused[0]?.reason ?? "")?.[0] ?? "";
    expect(await readFile(join(world.paths.stateDir, aside))).toEqual(content);
    expect(world.daemon.log).toContain(aside);
    await world.daemon.stop();
  }
  await writeFile(path, whole, { mode: 0o600 });
  await world.daemon.start();
  expect((await world.request("GET", "/v1/runs")).body).toMatchObject([{ run_id: "kept" }]);
  expect(JSON.stringify(await world.cliJson(["credentials", "ls"]))).toContain(granted.grant);
});

test("one damaged entry of runs.json is refused by name, and the others are served", async () => {
  await using world = await startWorld();
  for (const run_id of ["kept", "damaged"]) await world.request("POST", "/v1/runs", { run_id });
  await world.daemon.stop();
  const path = join(world.paths.stateDir, "runs.json");
  const stored = JSON.parse(await readFile(path, "utf8"));
  for (const run of stored.runs) if (run.run_id === "damaged") run.policy = { mode: "lax" };
  await writeFile(path, JSON.stringify(stored), { mode: 0o600 });
  await world.daemon.start();
  expect((await world.request("GET", "/v1/runs")).body).toMatchObject([{ run_id: "kept" }]);
  const health = (await world.request("GET", "/v1/health")).body;
  expect(health).toMatchObject({ runs_refused: [{ run_id: "damaged", reason: expect.any(String) }] });
});

test("a sandbox whose record was damaged ends with the next start: nobody could name it to stop it", async () => {
  await using world = await startWorld();
  const mark = { env: { TESTBED_WORLD: world.paths.directory } };
  const detach = { ...mark, flags: ["--detach"] };
  const [damaged, kept] = [await world.run(["sleep", "1000"], detach), await world.run(["sleep", "1000"], detach)];
  await world.daemon.kill();
  const folder = join(world.paths.stateDir, "runs");
  const names = await readdir(folder);
  for (const name of names) {
    const path = join(folder, name, "run.json");
    const text = await readFile(path, "utf8");
    if (text.includes(damaged.stdout.trim())) await writeFile(path, text.slice(0, -10));
  }
  const before = await world.pids("keeper");
  expect(before.length).toBe(2);
  await world.daemon.start();
  expect(await world.liveRuns()).toEqual([kept.stdout.trim()]);
  await eventually("the end of one keeper", async () => (await world.pids("keeper")).length === 1);
  expect(await readdir(folder)).toHaveLength(1);
  expect(await readdir(join(world.paths.stateDir, "keepers"))).toHaveLength(1);
  expect(world.daemon.log).toContain("a run without a readable record was ended and removed");
});

test("a state directory or file that others may read stops the start", async () => {
  await using world = await startWorld();
  await world.request("POST", "/v1/runs", { run_id: "kept" });
  await world.daemon.stop();
  for (const [name, loose, tight] of [
    ["", 0o755, 0o700],
    ["runs.json", 0o644, 0o600],
    ["encryption.key", 0o640, 0o600],
  ] as const) {
    const path = join(world.paths.stateDir, name);
    await chmod(path, loose);
    const { code, said } = await failToStart(world);
    expect(code, name).toBe(2);
    expect(said).toContain(path);
    // Nothing is mended behind the owner's back.
    expect((await stat(path)).mode & 0o777).toBe(loose);
    await chmod(path, tight);
  }
  await world.daemon.start();
  expect((await world.request("GET", "/v1/runs")).body).toMatchObject([{ run_id: "kept" }]);
});

test("a symlinked state directory or file stops the start", async () => {
  await using world = await startWorld();
  await world.request("POST", "/v1/runs", { run_id: "kept" });
  await world.daemon.stop();
  const { stateDir, directory } = world.paths;
  for (const name of ["", "runs.json", "ca"]) {
    const path = join(stateDir, name);
    const moved = join(directory, "moved");
    await rename(path, moved);
    await symlink(moved, path.replace(/\/$/, ""));
    const { code, said } = await failToStart(world);
    expect(code, name).toBe(2);
    expect(said).toContain(stateDir);
    await rm(path.replace(/\/$/, ""));
    await rename(moved, path);
  }
  await world.daemon.start();
  expect((await world.request("GET", "/v1/runs")).body).toMatchObject([{ run_id: "kept" }]);
});

test("a second daemon is refused and names the first, which goes on", async () => {
  await using world = await startWorld();
  const { code, said } = await failToStart(world);
  expect(code).toBe(1);
  expect(said).toContain(String(world.daemon.pid));
  expect((await world.request("GET", "/v1/health")).status).toBe(200);
  const lock = JSON.parse(await readFile(join(world.paths.stateDir, "daemon.lock"), "utf8"));
  expect(lock).toMatchObject({ pid: world.daemon.pid });
});

const runIdOf = ({ run_id }: { readonly run_id: string }) => run_id;

test("a full disk refuses what cannot be kept, says so, and loses nothing", async (context) => {
  if (process.getuid?.() !== 0) context.skip("only root may mount the small file system");
  await using disk = await mountSmallDisk();
  await using world = await startWorld({ stateDir: join(disk.path, "state") });
  await using granted = await openGrantedApi(world);
  const { grant, policy, origin, value } = granted;
  expect((await world.request("POST", "/v1/runs", { run_id: "kept" })).status).toBe(201);
  const detached = ["run", "--detach", "--env", `TESTBED_WORLD=${world.paths.directory}`, "--", "sleep", "300"];
  const start = async () => (await world.cli(detached)).stdout.trim();
  const isAsleep = async () => (await world.processes()).some(({ command }) => command.startsWith("sleep 300"));
  const [stopped, endedWithAll] = [await start(), await start()];
  await runProcess("dd", ["if=/dev/zero", `of=${disk.path}/filler`, "bs=4096"]);

  const refused = await world.request("POST", "/v1/runs", { run_id: "lost", network_allow: padding() });
  expect(refused).toMatchObject({ status: 503, body: { code: "state.write_failed" } });
  const sealed = await world.cli(["grant", "github"], { stdin: plantValue() });
  expect(sealed.code).toBe(1);
  expect(sealed.stderr).toMatch(/written|space|disk/i);
  const unkept = await world.cli(["stop", stopped]);
  expect(unkept).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`The gate serves ${stopped} nothing any more: make room`),
  });
  expect(unkept.stderr).not.toContain("nothing was changed");
  const served = async () => ((await world.request("GET", "/v1/runs")).body as { run_id: string }[]).map(runIdOf);
  expect(await served()).toEqual(["kept", endedWithAll]);
  expect(await isAsleep()).toBe(true);

  // An emergency stop ends all the same. What was registered by others is registered still once the daemon starts anew.
  const all = await world.cli(["stop", "--all", "--json"]);
  const outcome = JSON.parse(all.stdout) as Readonly<Record<"stopped" | "failed" | "unwritten", readonly string[]>>;
  expect(all.code).toBe(1);
  expect(outcome.failed).toEqual([]);
  for (const ended of [outcome.stopped, outcome.unwritten]) {
    expect(ended).toEqual(expect.arrayContaining([endedWithAll, "kept"]));
  }
  expect(await served()).toEqual([]);
  expect(await isAsleep()).toBe(false);
  await world.daemon.kill();
  expect(await failToStart(world)).toMatchObject({ code: 1, said: expect.stringContaining("(ENOSPC)") });

  await rm(`${disk.path}/filler`);
  await world.daemon.start();
  expect(await served()).toEqual(["kept"]);
  expect((await world.cli(["stop", stopped])).code).toBe(0);
  const curl = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", origin];
  expect(await world.run(curl, { grants: [grant], policy })).toMatchObject({ stdout: "200" });
  await world.daemon.kill();
  await world.daemon.start();
  expect((await world.request("GET", "/v1/runs")).body).toMatchObject([{ run_id: "kept" }]);
  expect((await world.run(curl, { grants: [grant], policy })).stdout).toBe("200");
  expect(granted.api.requests.every(({ headers }) => headers.authorization === `Bearer ${value}`)).toBe(true);
});

test("an unknown or wrong setting stops the start, naming the nearest known one", async () => {
  for (const [settings, named] of [
    [{ gate: { worker: 2 } }, "gate.workers"],
    [{ gate: { workers: "many" } }, "gate.workers"],
    [{ node: { driver: "docker" } }, "node.driver"],
  ] as const) {
    await using world = await startWorld({ isStarted: false, settings });
    const { code, said } = await failToStart(world);
    expect(code).toBe(2);
    expect(said).toContain(named);
  }
});

test("a state directory whose socket path would be too long is refused", async () => {
  await using world = await startWorld({ isStarted: false });
  const long = join(world.paths.directory, "x".repeat(90));
  const { code, stderr } = await world.cli(["up", "--json", "--state-dir", long], { timeoutMs: 15_000 });
  expect(code).toBe(2);
  expect(stderr).toContain("107");
});

test("commands that need a daemon say that there is none, and how to start it", async () => {
  await using world = await startWorld({ isStarted: false });
  await mkdir(world.paths.stateDir, { mode: 0o700 });
  for (const args of [["ls"], ["credentials", "ls"], ["stop", "a"]]) {
    const { code, stderr } = await world.cli(args);
    expect(code, args.join(" ")).toBe(6);
    expect(stderr).toContain("gatehouse up");
  }
  expect((await world.cli(["no-such-command"])).code).toBe(2);
});

/** What a peer answers to bytes that no client library would send. */
async function sendRaw(world: World, lines: readonly string[]): Promise<string> {
  const socket = connect(join(world.paths.stateDir, "daemon.sock"));
  let text = "";
  socket.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  socket.write(lines.join("\r\n"));
  await once(socket, "close");
  return text;
}

/** Enough text that the file grows by a block. */
const padding = () => Array.from({ length: 1_000 }, (_, index) => `host-${index}.example.test`);

async function mountSmallDisk() {
  const path = await mkdtemp(join(tmpdir(), "gh-disk-"));
  const mounted = await runProcess("mount", ["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", path]);
  if (mounted.code !== 0) throw new Error(mounted.stderr);
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await runProcess("umount", [path]);
      await rm(path, { recursive: true });
    },
  };
}

/** Starts a command on a terminal, presses a key (its code in hex) once it asks, and ends as it ends. */
const PROMPTED = `
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, int(sys.argv[2]), 0, 0))
    os.execvp(sys.argv[3], sys.argv[3:])
seen, pressed = b"", False
while True:
    try:
        part = os.read(fd, 4096)
    except OSError:
        break
    if not part:
        break
    seen += part
    if b"Value of" in seen and not pressed:
        pressed = True
        os.write(fd, bytes.fromhex(sys.argv[1]))
sys.stdout.buffer.write(seen)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
