import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type DockerEngine, eventually, REPOSITORY, startDocker } from "@gatehouse/testbed";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { importBase } from "./container-base.ts";

const execute = promisify(execFile);

/** What the tests read of a service of the compose file. */
interface Service {
  readonly environment: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
  readonly cap_drop: readonly string[];
  readonly security_opt: readonly string[];
  readonly read_only?: boolean;
  readonly tmpfs?: readonly string[];
}

describe("the container image, built and run by a Docker Engine", () => {
  let engine: DockerEngine;
  let services: Readonly<Record<string, Service>>;

  beforeAll(async () => {
    engine = await startDocker();
    await importBase(engine, "base");
    const file = join(REPOSITORY, "deploy/container/Dockerfile");
    const own = ["--network=none", "--build-arg", "BASE=base", "--file", file, "--tag", "gatehouse", REPOSITORY];
    await engine.docker("build", "--quiet", ...own);
    const compose = await readFile(join(REPOSITORY, "deploy/container/compose.yaml"), "utf8");
    services = parse(compose, { merge: true }).services;
  }, 120_000);
  afterAll(() => engine[Symbol.asyncDispose]());

  /** Starts a service with the options that the compose file gives it, and no network. */
  function start(name: string, ...args: readonly string[]): Promise<string> {
    const service = services[name];
    if (service === undefined) throw new Error(`compose.yaml has no service ${name}`);
    const { environment, cap_drop, security_opt, tmpfs = [] } = service;
    const options = [
      ...Object.entries(environment).map(([key, value]) => `--env=${key}=${value}`),
      ...cap_drop.map((capability) => `--cap-drop=${capability}`),
      ...security_opt.map((option) => `--security-opt=${option}`),
      ...tmpfs.map((place) => `--tmpfs=${place}`),
      ...(service.read_only === true ? ["--read-only"] : []),
    ];
    const own = ["--detach", "--init", "--network=none", `--name=${name}`, `--volume=${name}:/var/lib/gatehouse`];
    return engine.docker("run", ...own, ...options, "gatehouse", ...args);
  }

  async function ready(name: string): Promise<Readonly<Record<string, unknown>>> {
    const line = await eventually(`${name} is ready`, async () =>
      (await engine.docker("logs", name)).split("\n").find((one) => one.includes('"ready":true')),
    );
    return JSON.parse(line);
  }

  test("a word that is no mode ends with 2 and names the three; a command is run as it is", async () => {
    for (const mode of ["serve", ""]) {
      const refused = engine.docker("run", "--rm", "--network=none", `--env=GATEHOUSE_MODE=${mode}`, "gatehouse");
      await expect(refused).rejects.toMatchObject({
        code: 2,
        stdout: "",
        stderr: expect.stringMatching(/server, node or combined/),
      });
    }
    expect(await engine.docker("run", "--rm", "--network=none", "gatehouse", "version")).toContain("gatehouse 0.1.0");
  });

  test("a server runs as nobody in particular, on a read-only system, and keeps its state over a new container", async () => {
    const listen = ["--listen", "127.0.0.1:8443", "--json"];
    await start("server", ...listen);
    expect(await ready("server")).toMatchObject({ url: "https://127.0.0.1:8443" });
    expect(await engine.docker("exec", "server", "ls", "/var/lib/gatehouse")).toBe("server\nsetup-code");
    const made = await engine.docker("exec", "server", "cat", "/var/lib/gatehouse/setup-code");
    expect(await engine.docker("exec", "server", "ls", "-ldn", "/var/lib/gatehouse")).toMatch(
      /^drwx------ .* 10001 10001 /,
    );
    await engine.docker("stop", "server");
    expect(await engine.docker("inspect", "--format={{.State.ExitCode}}", "server")).toBe("0");
    await engine.docker("rm", "server");
    await start("server", ...listen);
    await ready("server");
    expect(await engine.docker("exec", "server", "cat", "/var/lib/gatehouse/setup-code")).toBe(made);
  });

  test("a node that was not enrolled does not start, and says what to do", async () => {
    await start("node");
    expect(await engine.docker("wait", "node")).toBe("2");
    expect((await execute("docker", ["--host", `unix://${engine.socketPath}`, "logs", "node"])).stderr).toContain(
      "gatehouse node enroll",
    );
  });

  test("server, node and gate in one container: it is its own node, and runs are sandboxed there", async () => {
    await start("combined", "--listen", "127.0.0.1:8443", "--json");
    await ready("combined");
    const inside = (...command: readonly string[]) => engine.docker("exec", "combined", "gatehouse", ...command);
    expect(JSON.parse(await inside("nodes", "ls", "--json"))).toHaveLength(1);
    await engine.docker("exec", "combined", "mkdir", "/home/gatehouse/work");
    const run = inside("run", "--workspace", "/home/gatehouse/work", "--", "/bin/sh", "-c", "echo ran; exit 7");
    await expect(run).rejects.toMatchObject({ code: 7, stdout: "ran\n" });
  });
});

test("the units are ones that systemd takes, and the server's leaves little open", async () => {
  const root = await mkdtemp(join(tmpdir(), "gh-units-"));
  try {
    const units = join(root, "etc/systemd/system");
    await cp(join(REPOSITORY, "deploy/systemd"), units, { recursive: true });
    await cp("/usr/lib/systemd/system", join(root, "usr/lib/systemd/system"), { recursive: true });
    await mkdir(join(root, "usr/bin"), { recursive: true });
    await writeFile(join(root, "usr/bin/gatehouse"), "#!/bin/sh\n");
    await chmod(join(root, "usr/bin/gatehouse"), 0o755);
    for (const [unit, exposure] of [
      ["gatehouse-server.service", 20],
      ["gatehouse-node.service", 60],
    ] as const) {
      const verified = await execute("systemd-analyze", ["verify", `--root=${root}`, "--man=no", unit]);
      expect(verified).toEqual({ stdout: "", stderr: "" });
      await execute("systemd-analyze", [
        "security",
        "--offline=yes",
        `--threshold=${exposure}`,
        `--root=${root}`,
        unit,
      ]);
    }
  } finally {
    await rm(root, { recursive: true });
  }
});
