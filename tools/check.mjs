// Every static check, in one place and one order: format and lint, types, promises, structure, dead code, documents.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = (name) => join(root, "node_modules/.bin", name);
const node = bin("node");

function run(command, args, cwd = root) {
  const path = `${join(root, "node_modules/.bin")}:${process.env.PATH}`;
  const done = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: { ...process.env, PATH: path },
  });
  return { ok: done.status === 0, output: `${done.stdout}${done.stderr}`, stdout: done.stdout };
}

function filesBelow(folder, ending) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.includes("node_modules"));
}

function cruise(folder, cwd) {
  const config = join(root, ".dependency-cruiser.cjs");
  const { stdout, output } = run(node, [bin("depcruise"), "--config", config, "--output-type", "json", folder], cwd);
  try {
    return JSON.parse(stdout);
  } catch {
    throw new Error(`the structure check did not run:\n${output}`);
  }
}

function checkStructure() {
  const { modules, summary } = cruise("packages", root);
  const seen = modules.filter(({ source }) => source.startsWith("packages/")).length;
  const there = filesBelow(join(root, "packages"), ".ts").filter((path) => !path.includes("/dist/")).length;
  const lines = summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`);
  if (seen < there) lines.push(`saw ${seen} modules of ${there}: the check is blind`);
  return { ok: lines.length === 0, output: lines.join("\n"), detail: `${seen} modules` };
}

function checkPlantedViolation() {
  const { summary } = cruise("packages", join(root, "tools/planted-violation"));
  const caught = summary.violations.some(({ rule }) => rule.name === "core-is-pure");
  return { ok: caught, output: "the planted violation of core-is-pure was not reported" };
}

/** Links between documents lead somewhere. */
function checkLinks() {
  const documents = [...filesBelow(join(root, "docs"), ".md"), ...filesBelow(join(root, "packages"), ".md")];
  for (const name of readdirSync(root)) if (name.endsWith(".md")) documents.push(join(root, name));
  const broken = [];
  for (const path of documents) {
    for (const [, link] of readFileSync(path, "utf8").matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (!/^[a-z]+:/.test(link) && !existsSync(resolve(dirname(path), link))) {
        broken.push(`${relative(root, path)}: ${link}`);
      }
    }
  }
  return { ok: broken.length === 0, output: broken.join("\n"), detail: `${documents.length} documents` };
}

/** Decisions are numbered without gaps, say their state, and fit a page. */
function checkDecisions() {
  const folder = join(root, "docs/adr");
  const names = readdirSync(folder)
    .filter((name) => /^\d{4}-.*\.md$/.test(name))
    .sort();
  const wrong = names.flatMap((name, index) => {
    const text = readFileSync(join(folder, name), "utf8");
    const number = String(index + 1).padStart(4, "0");
    return [
      name.startsWith(number) ? "" : `${name}: expected number ${number}`,
      /^State: (draft|accepted|superseded)/m.test(text) ? "" : `${name}: no "State:" line`,
      text.split("\n").length <= 60 ? "" : `${name}: longer than a page`,
    ].filter(Boolean);
  });
  return { ok: wrong.length === 0, output: wrong.join("\n"), detail: `${names.length} decisions` };
}

/** The lockfile names no host that a download came from. */
function checkLockfile() {
  const lockfiles = ["package-lock.json", "spec/clients/package-lock.json"];
  const texts = lockfiles.map((path) => readFileSync(join(root, path), "utf8"));
  const found = texts.flatMap((text) => text.match(/"resolved": "https?:[^"]*"/g) ?? []);
  return { ok: found.length === 0, output: found.slice(0, 5).join("\n") };
}

const CHECKS = [
  ["format and lint", () => run(bin("biome"), ["check", "--error-on-warnings", "."])],
  ["types", () => run(node, [join(root, "node_modules/typescript7/bin/tsc"), "-p", root])],
  ["promises and sizes", () => run(node, [bin("oxlint"), "--type-aware", "--deny-warnings"])],
  ["structure", checkStructure],
  ["planted violation", checkPlantedViolation],
  ["dead code", () => run(node, [bin("knip")])],
  ["wire contract", () => run(node, [join(root, "tools/protos.mjs"), "lint", "breaking", "check"])],
  ["document links", checkLinks],
  ["decisions", checkDecisions],
  ["generated reference", () => run(node, [join(root, "tools/reference.mjs"), "--check"])],
  ["lockfile", checkLockfile],
];

let failed = 0;
for (const [name, check] of CHECKS) {
  const { ok, output, detail } = check();
  console.log(`${ok ? "ok  " : "FAIL"} ${name}${detail ? ` (${detail})` : ""}`);
  if (!ok) {
    failed += 1;
    console.log(output.trimEnd());
  }
}
process.exitCode = failed === 0 ? 0 : 1;
