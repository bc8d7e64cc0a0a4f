import { chmod, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  eventually,
  openContactCounter,
  REPOSITORY,
  RunningCommand,
  runProcess,
  startWorld,
  type World,
} from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Deed, personAtTerminal } from "./person-at-terminal.ts";

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

test("a run passes on the command's code, streams, arguments and input", async () => {
  const script = 'cat; echo bad >&2; echo "$1"; exit 7';
  const finished = await world.run(["sh", "-c", script, "sh", "two words"], { stdin: "hello\n" });
  expect(finished).toMatchObject({ code: 7, stdout: "hello\ntwo words\n" });
  expect(finished.stderr).toContain("bad\n");
});

test.each(["bubblewrap", "unshare"])("a file that is a stream of a run by %s stays outside", async (driver) => {
  const outside = join(world.paths.directory, `streams-${driver}`);
  await mkdir(outside);
  const at = (name: string) => join(outside, name);
  await writeFile(at("input"), "given to read\n");
  await writeFile(at("log"), "earlier\n");
  const gatehouse = [process.execPath, join(import.meta.dirname, "../dist/gatehouse.js"), "run"];
  const flags = ["--driver", driver, "--state-dir", world.paths.stateDir];
  const start = (redirections: string, script: string) =>
    runProcess("/bin/sh", ["-c", `"$@" ${redirections}`, "sh", ...gatehouse, ...flags, "--", "sh", "-c", script], {
      env: world.environment,
      cwd: world.paths.workspace,
    });
  const rewrite = "cat; echo changed >/proc/self/fd/0; : >/proc/self/fd/1; timeout 0.2 cat /proc/self/fd/1; exit 0";
  expect((await start(`<${at("input")} >>${at("log")}`, rewrite)).code).toBe(0);
  expect(await readFile(at("input"), "utf8")).toBe("given to read\n");
  expect(await readFile(at("log"), "utf8")).toMatch(/^earlier\ngiven to read\n/);
  // One file for both keeps their order; programs that name their streams find them.
  const both = "for i in 1 2 3; do echo o$i; echo e$i >&2; done; echo named >/dev/stdout; exit 7";
  expect((await start(`>${at("both")} 2>&1`, both)).code).toBe(7);
  expect(await readFile(at("both"), "utf8")).toBe("o1\ne1\no2\ne2\no3\ne3\nnamed\n");
  // The control: what a directory would lead to is there.
  const folder = await start(`<${outside}`, "cat /proc/self/fd/0/input; echo started");
  expect(folder).toMatchObject({ code: 125, stdout: "" });
  expect(folder.stderr).toContain("standard input is a directory");
});

test("a command that a signal ended is 128 + n, one that is not there 127, one that is no program 126", async () => {
  expect((await world.run(["sh", "-c", "kill -TERM $$"])).code).toBe(143);
  expect((await world.run(["no-such-command"])).code).toBe(127);
  await writeFile(join(world.paths.workspace, "data.txt"), "no program");
  await chmod(join(world.paths.workspace, "data.txt"), 0o644);
  expect((await world.run(["./data.txt"])).code).toBe(126);
});

test("wrong usage of run is 125 too: 2 would be the command's own; elsewhere it is 2", async () => {
  for (const wrong of [
    [],
    ["--"],
    ["--no-such-option", "--", "true"],
    ["--driver", "none", "--", "true"],
    ["--json", "--", "true"],
  ]) {
    const { code, stdout, stderr } = await world.cli(["run", ...wrong]);
    expect({ code, stdout }, wrong.join(" ")).toEqual({ code: 125, stdout: "" });
    expect(stderr).toMatch(/error: |gatehouse: /);
  }
  for (const wrong of [["--node"], ["--node", "n1", "--no-such-option", "--", "true"]]) {
    expect((await world.cli(["run", ...wrong])).code, wrong.join(" ")).toBe(125);
  }
  expect((await world.cli(["run", "--help"])).code).toBe(0);
  expect((await world.cli(["stop", "--no-such-option"])).code).toBe(2);
  // `node run` runs no command of anybody's.
  const own = ["--state-dir", join(world.paths.directory, "no-node")];
  expect((await world.cli(["node", "run", ...own])).code).not.toBe(125);
});

test("a failure of Gatehouse itself is 125 and says what to do", async () => {
  const unknown = await world.run(["true"], { grants: ["nothing-of-this-name"] });
  expect(unknown.code).toBe(125);
  expect(unknown.stderr).toContain("nothing-of-this-name");
  expect((await world.run(["true"], { policy: "/does/not/exist.yaml" })).code).toBe(125);
  const malformed = join(world.paths.directory, "malformed.yaml");
  await writeFile(malformed, "rules: [{action: ask, hosts: [a.example.test]}]\nmode: strict\n");
  const asked = await world.run(["true"], { policy: malformed });
  expect(asked.code).toBe(125);
  expect(asked.stderr).toContain("ask");
});

test("signals to the command line reach the command, and its code comes back", async () => {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    const name = signal.slice(3);
    const running = world.startRun([
      "sh",
      "-c",
      `trap 'echo got ${name}; exit 9' ${name}; echo up; while :; do sleep 0.05; done`,
    ]);
    await running.line("the start", (line) => line === "up");
    running.kill(signal);
    const { code, stdout } = await running.finished;
    expect(stdout).toContain(`got ${name}`);
    expect(code).toBe(9);
  }
});

test("on a terminal the command has one too, with its size and the size's changes", async () => {
  const inner = "tty; stty size; trap 'stty size; exit 5' WINCH; echo waiting; while :; do sleep 0.05; done";
  const deeds: readonly Deed[] = [
    { until: "/dev/pts/" },
    { until: "33 101\nwaiting\n" },
    { resize: [44, 122] },
    { until: "44 122\n" },
  ];
  const person = sit(deeds, ["--", "sh", "-c", inner], [33, 101]);
  expect(await person.finished).toMatchObject({ code: 0, stdout: "5 as it was\n" });
});

test("a run on a terminal that is stopped ends with the code of its end, and leaves the terminal as it was", async () => {
  const person = sit([{ until: "$ " }, { tell: "here" }], ["--env", "PS1=$ ", "--agent", "typed", "--", "sh"]);
  await person.line("it is there", (line) => line === "here");
  const runs = JSON.parse((await world.cli(["ls", "--json"])).stdout) as Record<string, string>[];
  const { run_id: runId = "" } = runs.find(({ agent }) => agent?.endsWith("typed")) ?? {};
  await world.cli(["stop", runId]);
  person.write("\n");
  expect(await person.finished).toMatchObject({ stdout: "here\n129 as it was\n" });
});

test("a detached run is listed, followed and stopped", async () => {
  const script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done";
  const env = ["--env", `TESTBED_WORLD=${world.paths.directory}`];
  const { code, stdout, stderr } = await world.cli(["run", "--detach", "--json", ...env, "--", "sh", "-c", script]);
  expect(code, stderr).toBe(0);
  const { run_id } = JSON.parse(stdout) as { readonly run_id: string };
  expect(await world.liveRuns()).toContain(run_id);
  const following = world.startCli(["logs", run_id, "-f"]);
  await following.line("the third line", (line) => line.includes("line 3"));
  const listed = (await world.cli(["ls"])).stdout.split("\n").find((line) => line.includes(run_id));
  expect(listed).toMatch(/ sh -c i=0; while .{40,}…$/);
  expect(await world.cliJson(["stop", run_id])).toEqual({ stopped: [run_id] });
  expect((await following.finished).stdout).toContain("line 1\n");
  await eventually("its end", async () => (await world.liveRuns()).length === 0);
  expect((await world.cli(["stop", "no-such-run"])).code).toBe(5);
  expect(await world.cli(["trace", run_id])).toMatchObject({ code: 0, stdout: "" });
});

test("a detached run may open its output by name; what it wrote is whole when it has ended", async () => {
  const script = "echo plain; echo out > /dev/stdout; echo err | tee /dev/stderr >/dev/null; seq 20000";
  const { stdout } = await world.cli(["run", "--detach", "--json", "--", "sh", "-c", script]);
  const { run_id } = JSON.parse(stdout) as { readonly run_id: string };
  await eventually("its end", async () => (await world.liveRuns()).length === 0);
  const logs = (await world.cli(["logs", run_id])).stdout.split("\n");
  const numbers = Array.from({ length: 20_000 }, (_, at) => String(at + 1));
  expect(logs.filter((line) => line !== "err")).toEqual(["plain", "out", ...numbers, ""]);
  expect(logs).toContain("err");
});

test("a trace of a run that nobody knows says so", async () => {
  for (const more of [[], ["--follow"], ["--json"]]) {
    const { code, stdout, stderr } = await world.cli(["trace", "no-such-run", ...more]);
    expect({ code, stdout }).toEqual({ code: 5, stdout: "" });
    expect(stderr).toContain("no-such-run");
  }
});

test("a sandbox sees its workspace and nothing of the host that could hold a secret", async () => {
  await writeFile(join(world.paths.workspace, "mine.txt"), "mine");
  await writeFile(join(world.paths.directory, "home/secret.txt"), "of the host");
  const probe = `
    cat mine.txt; echo; pwd
    for path in ${world.paths.stateDir} ${world.paths.directory}/home/secret.txt /root/.ssh /var/run/docker.sock /etc/shadow; do
      test -e $path && echo "sees $path"
    done
    ls /proc | grep -c '^[0-9]'
    env | cut -d= -f1 | grep -E 'XDG|SSH|AWS_S|TOKEN|GATEHOUSE_STATE' && echo "has variables"
    grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status
    echo own > kept.txt; touch /usr/x 2>/dev/null && echo "writes /usr"; touch /etc/x 2>/dev/null && echo "writes /etc"
    true`;
  const { stdout, code, stderr } = await world.run(["sh", "-c", probe]);
  expect(code, stderr).toBe(0);
  expect(stdout).toContain("mine\n");
  expect(stdout).not.toMatch(/sees |has variables|writes /);
  expect(stdout).toMatch(/CapEff:\s+0000000000000000/);
  expect(stdout).toMatch(/NoNewPrivs:\s+1/);
  expect(await readFile(join(world.paths.workspace, "kept.txt"), "utf8")).toBe("own\n");
});

test("a workspace that holds the state or the program, equals it or links to it is refused", async () => {
  await mkdir(join(world.paths.directory, "links"), { recursive: true });
  await symlink(world.paths.stateDir, join(world.paths.directory, "links/state"));
  for (const workspace of [
    world.paths.directory,
    REPOSITORY,
    world.paths.stateDir,
    join(world.paths.directory, "links/state"),
    "/",
  ]) {
    const { code, stderr } = await world.run(["true"], { flags: ["--workspace", workspace] });
    expect(code, workspace).toBe(125);
    expect(stderr).toMatch(/workspace/i);
  }
});

test("there is no way out but the gate: no TCP, UDP, name service or Unix socket of the host", async () => {
  await using counter = await openContactCounter();
  const probe = [
    "import socket, sys, os",
    `port = ${counter.port}`,
    "hits = []",
    "def attempt(name, act):",
    "  try:",
    "    act(); hits.append(name)",
    "  except OSError: pass",
    "def tcp(host):",
    "  s = socket.create_connection((host, port), 1); assert s.recv(5) == b'hello'; s.close()",
    "def udp(host):",
    "  s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.5); s.sendto(b'x', (host, port)); s.recv(1)",
    "def unix(path):",
    "  s = socket.socket(socket.AF_UNIX); s.connect(path)",
    "attempt('tcp', lambda: tcp('127.0.0.1'))",
    "attempt('udp', lambda: udp('127.0.0.1'))",
    `attempt('unix', lambda: unix('${world.paths.stateDir}/daemon.sock'))`,
    "attempt('name', lambda: socket.getaddrinfo('api.example.test', 443))",
    "attempt('packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))",
    "attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))",
    "print('hits', ' '.join(hits))",
  ].join("\n");
  await writeFile(join(world.paths.workspace, "probe.py"), probe);
  // The control: the same probe succeeds where nothing enforces.
  const outside = await runProcess("/usr/bin/python3", [join(world.paths.workspace, "probe.py")]);
  expect(outside.stdout).toMatch(/^hits tcp udp unix/);
  const reached = { tcp: counter.tcp, udp: counter.udp };
  const inside = await world.run(["/usr/bin/python3", "probe.py"]);
  expect(inside.stdout.trim(), inside.stderr).toBe("hits");
  expect({ tcp: counter.tcp, udp: counter.udp }).toEqual(reached);
});

/** A person at a terminal in the workspace, who starts a run there. */
function sit(deeds: readonly Deed[], run: readonly string[], size?: readonly [number, number]): RunningCommand {
  const own = ["--state-dir", world.paths.stateDir, "--env", `TESTBED_WORLD=${world.paths.directory}`];
  return new RunningCommand(personAtTerminal(deeds, ["run", ...own, ...run], size), {
    env: { ...world.environment, TERM: "xterm" },
    cwd: world.paths.workspace,
  });
}
