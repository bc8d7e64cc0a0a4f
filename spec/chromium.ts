import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Browser, chromium } from "playwright-core";

const runFile = promisify(execFile);
const PROGRAM = "/usr/bin/chromium";
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run"];

/** The system's Chromium with a home of its own, in which one more authority is trusted. */
export async function openChromium(home: string, authorityFile: string): Promise<Browser> {
  const store = join(home, ".pki", "nssdb");
  await mkdir(store, { recursive: true });
  await runFile("certutil", ["-d", `sql:${store}`, "-N", "--empty-password"]);
  await runFile("certutil", ["-d", `sql:${store}`, "-A", "-n", "gatehouse", "-t", "C,,", "-i", authorityFile]);
  const env = { HOME: home, PATH: process.env.PATH ?? "", XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home };
  return chromium.launch({ executablePath: PROGRAM, args: QUIET, env });
}
