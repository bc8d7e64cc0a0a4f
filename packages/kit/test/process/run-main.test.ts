import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";

const source = new URL("../../src/index.ts", import.meta.url).href;
const core = new URL("../../../core/src/index.ts", import.meta.url).href;

function start(main: string, options = "{}") {
  const script = `import { runMain } from ${JSON.stringify(source)};
    import { Problem } from ${JSON.stringify(core)};
    const aborted = (signal) => new Promise((resolve) => signal.addEventListener("abort", resolve));
    const hold = setInterval(() => undefined, 1000);
    const ready = () => process.stdout.write("ready\\n");
    await runMain(async (signal) => { ${main} }, ${options});`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  const text = { out: "", err: "" };
  child.stdout.on("data", (chunk) => {
    text.out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    text.err += chunk;
  });
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal, ...text }));
  return { child, ended, ready: once(child.stdout, "data") };
}

test("the number that main gives is the exit code, none is 0", async () => {
  expect(await start("clearInterval(hold); return 5;").ended).toMatchObject({ code: 5 });
  expect(await start("clearInterval(hold);").ended).toMatchObject({ code: 0 });
});

test("a problem gives its exit code and its sentence, without cause", async () => {
  const main = `clearInterval(hold); throw new Problem("state.locked", { detail: "By 1.", cause: new Error("inner") });`;
  const ended = await start(main).ended;
  expect(ended).toMatchObject({ code: 1, err: "Another daemon uses this state directory. By 1.\n" });
});

test("a bug exits 1 and shows where it was, secrets overwritten", async () => {
  const ended = await start(`clearInterval(hold); throw new TypeError("ghp_abcdefghijklmnopqrstuvwxyz");`).ended;
  expect(ended).toMatchObject({ code: 1, err: expect.stringContaining("TypeError: [redacted]") });
});

test.each(["SIGTERM", "SIGINT"] as const)("%s lets main end in order", async (signal) => {
  const world = start("ready(); await aborted(signal); clearInterval(hold); process.stdout.write('ended'); return 0;");
  await world.ready;
  world.child.kill(signal);
  expect(await world.ended).toMatchObject({ code: 0, out: "ready\nended" });
});

test("main that rethrows the signal's reason exits with 128 + n and says nothing", async () => {
  const world = start("ready(); await aborted(signal); clearInterval(hold); throw signal.reason;");
  await world.ready;
  world.child.kill("SIGINT");
  expect(await world.ended).toMatchObject({ code: 130, err: "" });
});

test("what hangs after a signal is ended by force, at once at a second signal", async () => {
  const slow = start("ready(); await new Promise(() => undefined);", "{ lastResortMs: 100 }");
  await slow.ready;
  slow.child.kill("SIGTERM");
  expect(await slow.ended).toMatchObject({ code: 143 });
  const twice = start("ready(); await aborted(signal); ready(); await new Promise(() => undefined);");
  await twice.ready;
  twice.child.kill("SIGTERM");
  await once(twice.child.stdout, "data");
  twice.child.kill("SIGTERM");
  expect(await twice.ended).toMatchObject({ code: 143 });
});

test("a handle that was forgotten does not keep an ended process alive", async () => {
  expect(await start("return 4;", "{ lastResortMs: 100 }").ended).toMatchObject({ code: 4 });
});
