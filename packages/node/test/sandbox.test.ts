import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { takeListener } from "../src/keeper/take-listener.ts";
import { type DriverName, SANDBOX_PATH } from "../src/sandbox/driver.ts";
import { probeDriver } from "../src/sandbox/probe.ts";
import { openPlace, runTool, shellIn, startIn } from "./sandbox-under-test.ts";
import { until } from "./until.ts";

const DRIVERS: readonly DriverName[] = ["bubblewrap", "unshare"];

/** Processes of the host that live in a pid namespace. */
function processesOf(namespace: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/ns/pid`) === namespace;
      } catch {
        return false;
      }
    });
}

function argvsOfHost(): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, "utf8");
      } catch {
        return "";
      }
    });
}

for (const driver of DRIVERS) {
  const probe = await probeDriver(driver);
  describe(`the ${driver} driver`, { skip: !probe.ok }, () => {
    test("passes output and exit codes, and says 126 and 127 as a shell does", async () => {
      await using place = await openPlace();
      expect(await shellIn(driver, place, "echo out; echo err >&2; exit 7")).toMatchObject({
        out: "out\n",
        err: "err\n",
        code: 7,
      });
      expect((await shellIn(driver, place, "kill -TERM $$")).code).toBe(143);
      const missing = await startIn(driver, place, ["no-such-command"]);
      missing.sandbox.release();
      expect((await missing.sandbox.exited).code).toBe(127);
      const plain = await startIn(driver, place, ["/etc/hosts"]);
      plain.sandbox.release();
      expect((await plain.sandbox.exited).code).toBe(126);
    });

    test("gives an environment of what was asked for, and nothing of ours", async () => {
      await using place = await openPlace();
      process.env.SECRET_OF_THE_DAEMON = "must-not-be-seen";
      const { out } = await shellIn(driver, place, "env");
      delete process.env.SECRET_OF_THE_DAEMON;
      expect(out).toContain("MARK=asked-for");
      expect(out).not.toContain("must-not-be-seen");
      expect(out).not.toContain(place.runDir);
    });

    test("has a loopback interface and nothing else, and reaches no listener of the host", async () => {
      await using place = await openPlace();
      const server = createServer((socket) => socket.destroy());
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as { port: number };
      let contacts = 0;
      server.on("connection", () => {
        contacts += 1;
      });
      const knock = `import socket
try: socket.create_connection(("127.0.0.1", ${port}), 1); print("reached")
except OSError as failure: print("refused")`;
      const { out } = await shellIn(driver, place, `cat /proc/net/dev | grep -c :; python3 -c '${knock}'`);
      expect(out).toBe("1\nrefused\n");
      expect(contacts).toBe(0);
      expect(execFileSync("python3", ["-c", knock]).toString()).toBe("reached\n"); // the control
      server.close();
    });

    test("sees its workspace, read and write, and no other file of the host", async () => {
      await using place = await openPlace();
      await writeFile(join(place.workspace, "mine"), "1");
      await writeFile(join(place.directory, "not-mine"), "1");
      const { out } = await shellIn(
        driver,
        place,
        `cat mine; echo 2 > made; ls ${place.directory}; ls -d /root /var /run /home/* /.old 2>/dev/null; touch /x /usr/x /etc/x 2>/dev/null; echo done`,
      );
      expect(out.startsWith("1")).toBe(true);
      expect(out).not.toContain("not-mine");
      expect(out).toContain("/home/agent");
      expect(out).not.toMatch(/\/root|\/var|\/run|\.old/);
      expect(readFileSync(join(place.workspace, "made"), "utf8")).toBe("2\n");
      expect(existsSync("/usr/x")).toBe(false);
    });

    test("finds the run's authorities where the system keeps its own, whose file stays as it is", async () => {
      await using place = await openPlace();
      const system = "/etc/ssl/certs/ca-certificates.crt";
      const before = readFileSync(system);
      await writeFile(join(place.runDir, "ca-bundle.pem"), "the run's own");
      const { out } = await shellIn(driver, place, `cat ${system}; echo bad 2>&1 > ${system}`);
      expect(out).toMatch(/^the run's own/);
      expect(readFileSync(system).equals(before)).toBe(true);
    });

    test("cannot change the kernel's switches, whoever runs the daemon", async () => {
      await using place = await openPlace();
      const before = readFileSync("/proc/sys/kernel/core_pattern", "utf8");
      // Opened for writing and closed: nothing is written even where it would be possible.
      const { out } = await shellIn(
        driver,
        place,
        "for f in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/irq/default_smp_affinity; do (: >> $f) 2>/dev/null && echo open $f; done; echo done",
      );
      expect(out).toBe("done\n");
      expect(readFileSync("/proc/sys/kernel/core_pattern", "utf8")).toBe(before);
    });

    test("uses the devices and cannot change them, for they are the host's", async () => {
      await using place = await openPlace();
      // The modes are those that they have: where it would be possible nothing changes.
      const { out, err } = await shellIn(
        driver,
        place,
        `echo lost > /dev/null && head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c
        for name in null zero full random urandom; do chmod 666 /dev/$name 2>/dev/null && echo changed $name; done
        python3 -c 'import os
try: os.fchmod(0, 0o666); print("changed its input")
except OSError: print("done")'`,
      );
      expect(out, err).toBe("4\n4\ndone\n");
    });

    test("lets no variable that a run asked for reach the tools that build it", async () => {
      await using place = await openPlace();
      for (const name of ["sh", "setpriv", "unshare", "bwrap", "mount", "cat"]) {
        const lure = `#!/bin/sh\necho ${name} >> ${place.workspace}/lured\nexec /usr/bin/${name} "$@"\n`;
        await writeFile(join(place.workspace, name), lure, { mode: 0o755 });
      }
      const env = {
        PATH: `${place.workspace}:${SANDBOX_PATH}`,
        SHELL: join(place.workspace, "sh"),
        LD_PRELOAD: join(place.workspace, "none.so"),
        ODD: "it's 'quoted'\n$(touch lured) `touch lured`",
      };
      const { out } = await shellIn(driver, place, 'printf "%s|%s" "$ODD" "$LD_PRELOAD"; echo; command -v cat', env);
      expect(out).toBe(`${env.ODD}|${env.LD_PRELOAD}\n${place.workspace}/cat\n`);
      expect(existsSync(join(place.workspace, "lured"))).toBe(false);
    });

    test("shows the run's variables in no argument list of the host", async () => {
      await using place = await openPlace();
      const { sandbox } = await startIn(driver, place, ["sleep", "600"], { TOKEN: "in-no-argv-5f2c" });
      await using _ = sandbox;
      sandbox.release();
      await until(() => argvsOfHost().some((argv) => argv.startsWith("sleep\x00600")));
      expect(argvsOfHost().filter((argv) => argv.includes("in-no-argv-5f2c"))).toEqual([]);
    });

    test("serves a user who is not root, its listener included", async (context) => {
      const fixture = join(import.meta.dirname, "fixtures/run-in-sandbox.ts");
      const directory = await mkdtemp(join(tmpdir(), "gatehouse-user-"));
      await chmod(directory, 0o777);
      const asUser = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
      const env = { PATH: process.env.PATH, TMPDIR: directory, HOME: directory };
      const canRead = runTool([...asUser, "test", "-r", fixture]).status === 0;
      if (process.getuid?.() !== 0 || !canRead) return context.skip("the suite's own user is the proof");
      const script = "id -u; touch made && ls made; cat /etc/shadow 2>/dev/null; echo done";
      const done = runTool([...asUser, process.execPath, fixture, driver, script], env);
      await rm(directory, { recursive: true, force: true });
      expect(JSON.parse(done.stdout || done.stderr)).toMatchObject({
        uid: 65534,
        isFit: true,
        fd: expect.any(Number),
        out: "1000\nmade\ndone\n",
        code: 0,
      });
    });

    test("brings along what is mounted below its workspace, with the limits that it has there", async () => {
      const fixture = join(import.meta.dirname, "fixtures/run-in-sandbox.ts");
      const directory = await mkdtemp(join(tmpdir(), "gatehouse-mounts-"));
      const script = "cp /bin/true below; ./below/true || echo noexec; touch below/made && ls below";
      const env = { PATH: process.env.PATH, TMPDIR: directory, HOME: directory };
      const done = runTool(["unshare", "-Urm", process.execPath, fixture, driver, script, "below"], env);
      await rm(directory, { recursive: true, force: true });
      const seen: unknown = JSON.parse(done.stdout || done.stderr);
      expect(seen).toMatchObject({ out: "noexec\nmade\ntrue\n", code: 0 });
    });

    test("has no capability, may gain none, and makes no user namespace of its own", async () => {
      await using place = await openPlace();
      const { out } = await shellIn(
        driver,
        place,
        "grep -E '^(CapEff|CapPrm|CapInh|CapAmb|NoNewPrivs)' /proc/self/status; id -u; unshare -Ur true 2>/dev/null && echo nested; echo done",
      );
      expect(out).toMatch(
        /CapInh:\s+0{16}\nCapPrm:\s+0{16}\nCapEff:\s+0{16}\nCapAmb:\s+0{16}\nNoNewPrivs:\s+1\n1000\ndone\n/,
      );
    });

    test("inherits no descriptor beyond its standard streams", async () => {
      await using place = await openPlace();
      const { out } = await shellIn(driver, place, "ls /proc/self/fd | wc -l");
      expect(Number(out)).toBe(4); // the three, and the one that lists
    });

    test("gives its listener to the keeper before the command runs", async () => {
      await using place = await openPlace();
      const { child, sandbox } = await startIn(driver, place, [
        "python3",
        "-c",
        "import socket; s = socket.create_connection(('127.0.0.1', 3128), 5); s.sendall(b'hello'); print(s.recv(5).decode())",
      ]);
      await using _ = sandbox;
      using listener = await takeListener(sandbox.initPid ?? 0);
      const server = createServer((socket) => socket.on("data", (data) => socket.end(data)));
      await new Promise<void>((resolve) => server.listen({ fd: listener.fd }, resolve));
      let out = "";
      child.stdout?.on("data", (chunk: Buffer) => {
        out += chunk.toString();
      });
      sandbox.release();
      expect((await sandbox.exited).code).toBe(0);
      expect(out).toBe("hello\n");
      server.close();
    });

    test("leaves no process when it is killed, grandchildren that left their session included", async () => {
      await using place = await openPlace();
      const { child, sandbox } = await startIn(driver, place, [
        "/bin/sh",
        "-c",
        "setsid sleep 1000 & setsid sh -c 'sleep 1000 & sleep 1000' & readlink /proc/self/ns/pid; sleep 1000",
      ]);
      let namespace = "";
      child.stdout?.on("data", (chunk: Buffer) => {
        namespace += chunk.toString().trim();
      });
      sandbox.release();
      await until(() => namespace !== "" && processesOf(namespace).length >= 4);
      await sandbox[Symbol.asyncDispose]();
      await until(() => processesOf(namespace).length === 0);
    });

    test("opens the socket families of ordinary programs and no others", async () => {
      await using place = await openPlace();
      const script = `import socket
for family, kind, protocol in ((1,1,0),(2,1,0),(10,1,0),(16,3,0),(16,3,9),(17,2,0),(38,5,0),(40,1,0),(31,3,0)):
  try: socket.socket(family, kind, protocol); print(family, protocol, "open")
  except OSError: print(family, protocol, "refused")`;
      const { out } = await shellIn(driver, place, `python3 -c '${script}'`);
      expect(out.trim().split("\n")).toEqual([
        "1 0 open",
        "2 0 open",
        "10 0 open",
        "16 0 open",
        "16 9 refused",
        "17 0 refused",
        "38 0 refused",
        "40 0 refused",
        "31 0 refused",
      ]);
    });
  });
}
