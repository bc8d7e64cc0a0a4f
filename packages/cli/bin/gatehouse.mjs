#!/usr/bin/env node
// Starts the built command with a Node.js that is new enough: the host's own, or the one that came with the packages.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

/** argon2 came with it. */
const NEEDED = "24.7";
const entry = fileURLToPath(new URL("../../../dist/gatehouse.js", import.meta.url));

function packagedNode() {
  try {
    const name = `node-${process.platform}-${process.arch}`;
    return createRequire(import.meta.url).resolve(`${name}/bin/node`);
  } catch {
    return undefined;
  }
}

function isNewEnough() {
  return process.versions.node.localeCompare(NEEDED, "en", { numeric: true }) >= 0;
}

if (!existsSync(entry)) {
  console.error("gatehouse: it is not built yet. Run: npm run build");
  process.exitCode = 2;
} else if (isNewEnough()) {
  await import(entry);
} else {
  const node = packagedNode();
  if (node === undefined) {
    console.error(`gatehouse: Node.js ${NEEDED} or newer is needed. Run: npm install`);
    process.exitCode = 2;
  } else {
    const child = spawn(node, ["--disable-sigusr1", entry, ...process.argv.slice(2)], { stdio: "inherit" });
    // A terminal sends its signals to both; others reach this process alone and are passed on.
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => child.kill(name));
    child.once("exit", (code, signal) => {
      process.exitCode = code ?? 128 + constants.signals[signal];
    });
  }
}
