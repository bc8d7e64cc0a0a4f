import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  countInMemory,
  eventually,
  findInFiles,
  findProcessTree,
  isAlive,
  listProcesses,
  plantValue,
  runProcess,
} from "../src/index.ts";

test("a finished process is reported with its code, its streams and its input", async () => {
  expect(await runProcess("sh", ["-c", "cat; echo bad >&2; exit 3"], { stdin: "hello" })).toEqual({
    code: 3,
    stdout: "hello",
    stderr: "bad\n",
  });
  expect((await runProcess("sh", ["-c", "kill -TERM $$"])).code).toBe(143);
  await expect(runProcess("/does/not/exist", [])).rejects.toThrow("ENOENT");
});

test("a process that does not end in time is killed", async () => {
  expect((await runProcess("sleep", ["60"], { timeoutMs: 50 })).code).toBe(137);
});

test("waiting ends with the first answer, or says what it waited for", async () => {
  let asked = 0;
  expect(await eventually("three", () => ++asked === 3 && "done", { everyMs: 1 })).toBe("done");
  await expect(eventually("the moon", () => false, { timeoutMs: 5, everyMs: 1 })).rejects.toThrow("the moon");
});

test("a text is found in the memory of the process that holds it, and in no other", async () => {
  const value = plantValue();
  const script =
    "let s = ''; process.stdin.on('data', (d) => { s += d; console.log(s.length); }); setInterval(() => s, 9e5)";
  const holder = spawn(process.execPath, ["-e", script], { stdio: ["pipe", "pipe", "inherit"] });
  const other = spawn(process.execPath, ["-e", script], { stdio: ["pipe", "pipe", "inherit"] });
  try {
    holder.stdin.write(value);
    other.stdin.write("nothing");
    await Promise.all([once(holder.stdout, "data"), once(other.stdout, "data")]);
    expect(await countInMemory(holder.pid ?? 0, value)).toBeGreaterThan(0);
    expect(await countInMemory(other.pid ?? 0, value)).toBe(0);
  } finally {
    holder.kill("SIGKILL");
    other.kill("SIGKILL");
  }
});

test("a process is found with its descendants until it is gone", async () => {
  const mark = plantValue();
  const child = spawn("sh", ["-c", `sleep 30 & echo ready; wait; : ${mark}`], { stdio: ["ignore", "pipe", "ignore"] });
  await once(child.stdout, "data");
  const tree = await findProcessTree(({ command }) => command.includes(mark));
  expect(new Set(tree.map(({ command }) => command.split(" ")[0]))).toEqual(new Set(["sh", "sleep"]));
  for (const { pid } of tree) process.kill(pid, "SIGKILL");
  await once(child, "exit");
  for (const { pid } of tree) await eventually("its end", async () => !(await isAlive(pid)));
  expect((await listProcesses()).some(({ command }) => command.includes(mark))).toBe(false);
});

test("a text is found in files in clear and in base64 of any alignment", async () => {
  const directory = await mkdtemp(join(tmpdir(), "testbed-"));
  try {
    const value = plantValue();
    await mkdir(join(directory, "a"));
    await writeFile(join(directory, "a/clear"), `x${value}y`);
    for (const [index, prefix] of ["", "u", "us", "user:"].entries()) {
      await writeFile(join(directory, `base64-${index}`), Buffer.from(`${prefix}${value}tail`).toString("base64"));
    }
    await writeFile(join(directory, "clean"), "nothing");
    expect(await findInFiles(directory, value)).toHaveLength(5);
    const below = join(directory, "a/b");
    await mkdir(below, { recursive: true });
    await writeFile(join(below, "deep"), value);
    expect(await findInFiles(directory, value)).toContain(join(below, "deep"));
    expect(await findInFiles(directory, value, { except: [below] })).toHaveLength(5);
  } finally {
    await rm(directory, { recursive: true });
  }
});
