// npm start: sets up what is missing, shows the demo, then stays up as the daemon. With --once it ends after the demo.
// Plain JavaScript for the host's own Node.js (20 or newer); everything behind it runs on the packaged one.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { setUp } from "./set-up.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const args = process.argv.slice(2);
const known = ["--once", "--json"];
const unknown = args.filter((arg) => !known.includes(arg));

if (unknown.length > 0) {
  console.error(`npm start: unknown option ${unknown[0]}. Known: ${known.join(", ")}`);
  process.exitCode = 2;
} else process.exitCode = await start(args.includes("--once"), args.includes("--json"));

async function start(isOnce, isJson) {
  let node;
  try {
    node = await setUp(root);
  } catch (failure) {
    console.error(`npm start: ${failure.message}`);
    return 1;
  }
  const run = async (...command) => {
    const child = spawn(node, ["--disable-sigusr1", `${root}dist/gatehouse.js`, ...command], { stdio: "inherit" });
    // A terminal sends its signals to both; others reach this process alone and are passed on.
    const pass = (name) => child.kill(name);
    for (const name of ["SIGINT", "SIGTERM"]) process.on(name, pass);
    const [code] = await once(child, "exit");
    for (const name of ["SIGINT", "SIGTERM"]) process.off(name, pass);
    return code ?? 1;
  };
  const code = await run("demo", ...(isJson ? ["--json"] : []));
  if (isOnce || code !== 0) return code;
  if (!isJson)
    console.log(`The command, for another terminal: alias gatehouse="'${root}packages/cli/bin/gatehouse.mjs'"`);
  return run("up", ...(isJson ? ["--json"] : []));
}
