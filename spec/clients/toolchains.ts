import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { REPOSITORY, runProcess } from "@gatehouse/testbed";

const FOLDER = join(REPOSITORY, "spec/clients");
const CACHE = join(FOLDER, ".cache");

/** Programs of ours that use a library, and beside them what is installed for them. */
export const CLIENTS_FOLDER = FOLDER;
export const PROGRAMS = join(FOLDER, "programs");
export const PYTHON = "/usr/bin/python3";
export const GO = firstThere("/usr/local/go/bin/go", "/usr/bin/go");
export const JAVAC = "/usr/bin/javac";
/** The system's, or that of rustup, which names the directory of its toolchain. */
export const RUSTC = firstThere("/usr/bin/rustc", join(homedir(), ".cargo/bin/rustc"));

/** The first path where something is; the last one where nothing is. */
function firstThere(...paths: readonly [string, ...string[]]): string {
  return paths.find((path) => existsSync(path)) ?? paths[paths.length - 1] ?? paths[0];
}

/** Runs `make` once for every content of `source`; its product is `target`. */
async function once(source: string, target: string, make: () => Promise<unknown>): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const stamp = join(CACHE, `${basename(target)}.stamp`);
  const hash = createHash("sha256")
    .update(await readFile(source))
    .digest("hex");
  const made = await readFile(stamp, "utf8").catch(() => "");
  if (made === hash && existsSync(target)) return;
  await rm(stamp, { force: true });
  await make();
  await writeFile(stamp, hash);
}

/**
 * What the lockfile states and nothing else. `npm ci` refuses a lockfile that leaves out the optional packages of other
 * platforms; `npm install` takes it, and a lockfile that it would change fails.
 */
export async function installNpmPackages(): Promise<void> {
  const lockfile = join(FOLDER, "package-lock.json");
  await once(lockfile, join(FOLDER, "node_modules"), async () => {
    const before = await readFile(lockfile, "utf8");
    const quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"];
    await must(["npm", "install", ...quietly], { cwd: FOLDER });
    if ((await readFile(lockfile, "utf8")) === before) return;
    await writeFile(lockfile, before);
    throw new Error(`${lockfile} does not state what its package.json asks for`);
  });
}

/** Path of uv. */
export async function installUv(): Promise<string> {
  const requirements = join(FOLDER, "requirements.txt");
  const target = join(CACHE, "python");
  const pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
  const exactly = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--upgrade"];
  await once(requirements, target, () => must([...pip, ...exactly, "--target", target, "-r", requirements]));
  return join(target, "bin/uv");
}

/** Path of the Go client. */
export async function buildGoClient(): Promise<string> {
  const target = join(CACHE, "go-client");
  const source = join(PROGRAMS, "go-client.go");
  // No C and no modules: the standard library alone, one file that runs anywhere.
  const env = { CGO_ENABLED: "0", GOFLAGS: "", GOPROXY: "off", GOTOOLCHAIN: "local", GOCACHE: join(CACHE, "go-build") };
  await once(source, target, () => must([GO, "build", "-o", target, source], { env }));
  return target;
}

/** Version of the toolchain that builds it. */
export async function goVersion(): Promise<string> {
  return must([GO, "env", "GOVERSION"]);
}

/** Directory of the Java client. */
export async function compileJavaClient(): Promise<string> {
  const target = join(CACHE, "java");
  const source = join(PROGRAMS, "JavaClient.java");
  await once(source, target, () => must([JAVAC, "--release", "11", "-d", target, source]));
  return target;
}

export interface Rust {
  readonly cargo: string;
  readonly rustc: string;
  /** What of it lies outside the directories that every sandbox sees. */
  readonly mounts: readonly string[];
}

export async function findRust(): Promise<Rust> {
  if (RUSTC.startsWith("/usr/")) return { cargo: "/usr/bin/cargo", rustc: RUSTC, mounts: [] };
  const sysroot = (await must([RUSTC, "--print", "sysroot"])).trim();
  return { cargo: join(sysroot, "bin/cargo"), rustc: join(sysroot, "bin/rustc"), mounts: [sysroot] };
}

/**
 * Tests start without the host's variables, and a site's own registry may be known by an authority that the system's
 * bundle alone holds: what installs goes by that bundle.
 */
const SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt";
const TRUST: Readonly<Record<string, string>> = existsSync(SYSTEM_BUNDLE)
  ? { NODE_EXTRA_CA_CERTS: SYSTEM_BUNDLE, PIP_CERT: SYSTEM_BUNDLE, SSL_CERT_FILE: SYSTEM_BUNDLE }
  : {};

interface How {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

async function must([program = "", ...args]: readonly string[], { cwd, env = {} }: How = {}): Promise<string> {
  const inherited = Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const { code, stdout, stderr } = await runProcess(program, args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...Object.fromEntries(inherited), ...TRUST, ...env },
    timeoutMs: 300_000,
  });
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}
