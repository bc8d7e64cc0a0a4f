// A child of the supervisor tests; its first argument says what it does.
import { createLog, openIpcPeer, runMain } from "../../src/index.ts";

const [mode = ""] = process.argv.slice(2);

await runMain(
  async (signal) => {
    if (mode === "crash") process.exit(3);
    if (mode === "deaf") process.on("SIGTERM", () => process.stdout.write("deaf to SIGTERM\n"));
    createLog({ level: "info", format: "json" }).warn("child speaks", { pid: process.pid });
    process.stdout.write(`plain out\n{"level":"odd"}\nhalf`);
    process.stderr.write("plain err\n");
    const stopped = Promise.withResolvers<void>();
    const peer = openIpcPeer(process, { ping: () => process.pid, env: () => ({ ...process.env }) });
    const hold = setInterval(() => undefined, 1_000);
    if (mode !== "deaf") signal.addEventListener("abort", () => stopped.resolve());
    await stopped.promise;
    clearInterval(hold);
    peer[Symbol.dispose]();
    process.stdout.write("stopped in order\n");
  },
  { endsWithParent: true },
);
