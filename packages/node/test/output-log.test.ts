import { existsSync, mkdirSync, readFileSync, renameSync, rmdirSync, symlinkSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sendLog } from "../src/daemon/send-log.ts";
import { OutputLog } from "../src/keeper/output-log.ts";
import { readOutput } from "../src/runs/read-output.ts";
import { until } from "./until.ts";

let directory = "";
const path = () => join(directory, "output.log");
const read = (name: string) => readFileSync(join(directory, name), "utf8");

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-output-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test("closing waits for what a stream still holds", async () => {
  const log = new OutputLog(directory);
  log.follow(Readable.from([Buffer.from("one "), Buffer.from("two ")]), "stdout");
  log.follow(Readable.from([Buffer.from("three ")]), "stdout");
  await log[Symbol.asyncDispose]();
  expect(read("output.log").trim().split(" ").sort()).toEqual(["one", "three", "two"]);
});

test("the newest is kept, in two files of a bounded size", async () => {
  const log = new OutputLog(directory, 100);
  log.follow(Readable.from(Array.from({ length: 100 }, (_, index) => Buffer.from(`line ${index}\n`))), "stdout");
  await log[Symbol.asyncDispose]();
  expect(read("output.log").length).toBeLessThan(120);
  expect(read("output.log.1").length).toBeLessThan(120);
  expect(read("output.log.1") + read("output.log")).toMatch(/line 98\nline 99\n$/);
});

test("whoever reads it finds each byte once, in its order and of its stream, over rotations", async () => {
  const log = new OutputLog(directory, 500);
  const [output, errors] = [new PassThrough(), new PassThrough()];
  log.follow(output, "stdout");
  log.follow(errors, "stderr");
  const read = { stdout: "", stderr: "" };
  const written = { stdout: "", stderr: "" };
  let from = 0;
  const readOn = async () => {
    const piece = await readOutput(directory, { from, limit: 64 });
    expect(piece.offset).toBe(from);
    for (const { stream, data } of piece.parts) {
      read[stream] += Buffer.from(data).toString();
      from += data.length;
    }
  };
  for (let round = 0; round < 300; round += 1) {
    const stream = round % 3 === 0 ? "stderr" : "stdout";
    const line = `${stream} ${round}\n`;
    written[stream] += line;
    (stream === "stderr" ? errors : output).write(line);
    while (from < written.stdout.length + written.stderr.length) await readOn();
  }
  expect(read).toEqual(written);
  output.end();
  errors.end();
  await log[Symbol.asyncDispose]();
  expect(await readOutput(directory, { from: 0, limit: 10 })).toMatchObject({ isAtEnd: false });
  expect((await readOutput(directory, { from: 0, limit: 10 })).offset).toBeGreaterThan(0);
});

test("while the file cannot move for want of room output is lost; afterwards every place is counted as before", async () => {
  const log = new OutputLog(directory, 10);
  // Asked for the next piece when the one before is written, or lost.
  async function* pieces() {
    yield Buffer.from("first-----");
    yield Buffer.from("second----");
    for (const name of ["output.lost.new", "output.lost.new", "output.log.1"]) {
      const isThere = existsSync(join(directory, name));
      if (isThere) renameSync(join(directory, name), join(directory, "aside"));
      mkdirSync(join(directory, name));
      yield Buffer.from("lost");
      rmdirSync(join(directory, name));
      if (isThere) renameSync(join(directory, "aside"), join(directory, name));
    }
    yield Buffer.from("third-----");
  }
  log.follow(Readable.from(pieces(), { highWaterMark: 0 }), "stdout");
  await until(() => existsSync(join(directory, "output.log")) && read("output.log") === "third-----");
  log.follow(Readable.from([Buffer.from("fourth----")]), "stderr");
  await log[Symbol.asyncDispose]();
  const older = await readOutput(directory, { from: 0, limit: 64 });
  const newer = await readOutput(directory, { from: 30, limit: 64 });
  expect([older, newer]).toEqual([
    { offset: 20, isAtEnd: false, parts: [{ stream: "stdout", data: new Uint8Array(Buffer.from("third-----")) }] },
    { offset: 30, isAtEnd: true, parts: [{ stream: "stderr", data: new Uint8Array(Buffer.from("fourth----")) }] },
  ]);
});

test("a full disk loses output and holds nobody up", async () => {
  symlinkSync("/dev/full", path());
  const log = new OutputLog(directory);
  const source = Readable.from(Array.from({ length: 200 }, () => Buffer.alloc(65_536)));
  log.follow(source, "stdout");
  await finished(source);
  await log[Symbol.asyncDispose]();
});

test("a follower gets what is written, over a rotation, and the end with the run", async () => {
  const log = new OutputLog(directory, 10);
  const output = new PassThrough();
  log.follow(output, "stdout");
  let isRunning = true;
  const server = createServer((_, response) => {
    const signal = new AbortController().signal;
    void sendLog({ path: path(), response, signal, isRunning: () => isRunning });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  let text = "";
  const over = Promise.withResolvers<void>();
  get({ port: (server.address() as AddressInfo).port }, (answer) => {
    answer.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    answer.on("end", () => over.resolve());
  });
  for (const word of ["before the rotation ", "after it ", "and once more "]) {
    output.write(word);
    await until(() => text.endsWith(word));
  }
  output.end("at last");
  await log[Symbol.asyncDispose]();
  isRunning = false;
  await over.promise;
  expect(text).toBe("before the rotation after it and once more at last");
  server.close();
});
