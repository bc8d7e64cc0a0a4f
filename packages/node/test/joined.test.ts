import { readFileSync, symlinkSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { DriverName } from "../src/sandbox/driver.ts";
import { probeDriver } from "../src/sandbox/probe.ts";
import { joinCarelessly, shellJoined, startJoined } from "./joined-command.ts";
import { LIE_IN_WAIT, pryIntoJoined, runIn } from "./lie-in-wait.ts";
import { openPlace, runTool } from "./sandbox-under-test.ts";
import { until } from "./until.ts";

const DRIVERS: readonly DriverName[] = ["bubblewrap", "unshare"];

/** All that a process has of its own; paths of its own pid and pipes are left out. */
const DESCRIBE = `
grep -E '^(Uid|Gid|Groups|Umask|Cap...|NoNewPrivs|Seccomp|Seccomp_filters|Sig(Ign|Blk)):' /proc/self/status
for name in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$name; done
cat /proc/self/uid_map /proc/self/gid_map /proc/self/cgroup /proc/self/limits /proc/self/oom_score_adj
pwd; readlink /proc/self/root; ls /proc/self/fd | grep -v 3
env | sort
`;

/** It had its last rights when it was caught, and so no way led into it. */
function expectNoWayIn(lines: readonly string[]): void {
  expect(lines).toContain("NoNewPrivs: 1");
  expect(lines).toContain("Seccomp: 2");
  expect(lines.find((line) => line.startsWith("CapEff:"))).not.toBe("CapEff: 0000000000000000");
  expect(lines.filter((line) => line.endsWith(" done"))).toEqual([]);
  expect(lines.filter((line) => /(denied|not permitted)$/.test(line)).length).toBe(26);
}

for (const driver of DRIVERS) {
  const probe = await probeDriver(driver);
  describe(`a further command in a run by ${driver}`, { skip: !probe.ok }, () => {
    test("has what the run's own command has, and nothing more", async () => {
      await using place = await openPlace();
      await using run = await runIn(driver, place, ["/bin/sh", "-c", `${DESCRIBE}\necho described; exec sleep 600`]);
      const own = await until(() => run.said().endsWith("described\n") && run.said().replace("described\n", ""));
      const { out, err, code } = await shellJoined(run.sandbox, place, DESCRIBE);
      expect({ err, code }).toEqual({ err: "", code: 0 });
      expect(out).toContain("NoNewPrivs:\t1\n");
      expect(out).toContain("Seccomp:\t2\n");
      expect(out).toContain("CapBnd:\t0000000000000000\n");
      expect(out).toBe(own);
    });

    test("cannot be looked into or taken over by the run while it still has rights", async () => {
      await using place = await openPlace();
      expectNoWayIn(await pryIntoJoined(driver, place));
    });

    test("cannot be looked into by the run of a user who is not root either", async (context) => {
      const fixture = join(import.meta.dirname, "fixtures/pry-into-joined.ts");
      const directory = await mkdtemp(join(tmpdir(), "gatehouse-user-"));
      await chmod(directory, 0o777);
      const asUser = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
      const canRead = runTool([...asUser, "test", "-r", fixture]).status === 0;
      if (process.getuid?.() !== 0 || !canRead) return context.skip("the suite's own user is the proof");
      const env = { PATH: process.env.PATH, TMPDIR: directory, HOME: directory };
      const { stdout, stderr } = runTool([...asUser, process.execPath, fixture, driver], env);
      await rm(directory, { recursive: true, force: true });
      expect(stderr).toBe("");
      expectNoWayIn(JSON.parse(stdout));
    });

    test("is looked into where it comes in by tools alone: the control", async () => {
      await using place = await openPlace();
      await using run = await runIn(driver, place, ["python3", "-c", LIE_IN_WAIT, "sleep"]);
      await until(() => run.said().includes("watching\n"));
      await using _ = await joinCarelessly(run.sandbox);
      const lines = await until(() => run.said().includes("caught\n") && run.said().trim().split("\n"));
      expect(lines).toContain("Seccomp: 0");
      for (const way of ["exe", "cwd", "root", "descriptor", "environ", "namespace"])
        expect(lines).toContain(`${way} done`);
    });

    test("offers no way out when it is looked into afterwards", async () => {
      await using place = await openPlace();
      await using run = await runIn(driver, place, ["sleep", "600"]);
      const started = await startJoined(run.sandbox, place, { command: ["sleep", "600"] });
      await using _ = started.joined;
      const look = `while [ $(grep -lx sleep /proc/[0-9]*/comm | wc -l) -lt 2 ]; do :; done
      for pid in $(ls /proc | grep -E '^[0-9]+$'); do
        [ "$(cat /proc/$pid/comm 2>/dev/null)" = sleep ] || continue
        readlink /proc/$pid/exe; ls /proc/$pid/fd | tr '\\n' ' '; readlink /proc/$pid/cwd
        (: > /proc/$pid/exe) 2>/dev/null && echo overwritten
        stat -Lc %d:%i /proc/$pid/root; [ ! -e /proc/$pid/root${process.cwd()} ] || echo host
      done`;
      const { out } = await shellJoined(run.sandbox, place, look);
      const [own, joined] = out.split("/usr/bin/sleep\n").slice(1);
      expect(joined).toBe(own);
      expect(joined).toMatch(/^0 1 2 \S+\n\d+:\d+\n$/);
      expect(out).not.toMatch(/overwritten|host/);
      // The control: this process sees the host so.
      expect(readFileSync(`/proc/self/root${process.cwd()}/package.json`, "utf8")).not.toBe("");
    });

    test("begins in no directory that the run leads it astray to", async () => {
      await using place = await openPlace();
      await using run = await runIn(driver, place, ["sleep", "600"]);
      const astray = ["/proc/self/fd/7", "/proc/self/fd/10", "/proc/1/root", "/proc/1/cwd", place.runDir, "/root"];
      for (const [at, target] of astray.entries()) {
        const link = join(place.workspace, `link-${at}`);
        symlinkSync(target, link);
        const { out, code } = await shellJoined(run.sandbox, place, "pwd -P; ls", link);
        expect([target, code, out]).toEqual([target, 126, ""]);
      }
      expect((await shellJoined(run.sandbox, place, "pwd", "/usr/share")).out).toBe("/usr/share\n"); // the control
    });

    test("ends with its run", async () => {
      await using place = await openPlace();
      await using run = await runIn(driver, place, ["sleep", "600"]);
      const started = await startJoined(run.sandbox, place, { command: ["sleep", "601"] });
      await using joined = started.joined;
      await run.sandbox[Symbol.asyncDispose]();
      expect(await joined.exited).toEqual({ code: 137 });
      await expect(startJoined(run.sandbox, place, { command: ["true"] })).rejects.toThrow();
    });

    test("passes its exit code on, and says what it could not run", async () => {
      await using place = await openPlace();
      await using run = await runIn(driver, place, ["sleep", "600"]);
      const codes = await Promise.all(
        ["exit 7", "kill -TERM $$", "exec no-such-program", "exec /etc/passwd"].map(
          async (script) => (await shellJoined(run.sandbox, place, script)).code,
        ),
      );
      expect(codes).toEqual([7, 143, 127, 126]);
    });
  });
}
