// The wire contract's tools: `node tools/protos.mjs lint|generate|breaking|check|baseline`. Works offline.
// check: generated code is current. baseline: takes today's contract as what later ones must stay compatible with.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { printProtoFile } from "./print-proto-file.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const GENERATED = join(root, "packages/wire/src/gen");
const BASELINE = join(root, "proto/baseline.binpb");
const RULES = join(root, "node_modules/.cache/gatehouse/protovalidate/buf/validate/validate.proto");
/** What the package's install script would choose; nothing is run at install, so it is chosen here. */
const buf = join(root, `node_modules/@bufbuild/buf-${process.platform}-${process.arch}/bin/buf`);

function run(...args) {
  const path = `${join(root, "node_modules/.bin")}:${process.env.PATH}`;
  // Outside its own folder buf keeps nothing and asks nobody.
  const env = { ...process.env, PATH: path, BUF_CACHE_DIR: join(root, "node_modules/.cache/gatehouse/buf") };
  const done = spawnSync(buf, args, { cwd: root, encoding: "utf8", env });
  if (done.error) throw done.error;
  if (done.status !== 0) throw new Error(`buf ${args[0]}:\n${done.stdout}${done.stderr}`);
}

/** No package ships the validation rules as text: they are printed from the descriptor that the library exports. */
async function writeRules() {
  const { file_buf_validate_validate: file } = await import("@bufbuild/protovalidate/gen/buf/validate/validate_pb.js");
  mkdirSync(dirname(RULES), { recursive: true });
  writeFileSync(RULES, printProtoFile(file.proto));
}

function generateInto(folder) {
  const template = {
    version: "v2",
    plugins: [
      {
        local: "protoc-gen-es",
        out: folder,
        opt: [
          "target=js+dts",
          "import_extension=js",
          "rewrite_imports=./buf/validate/validate_pb.js:@bufbuild/protovalidate/gen",
        ],
      },
    ],
  };
  run("generate", "proto", "--template", JSON.stringify(template));
}

function filesOf(folder) {
  if (!existsSync(folder)) return new Map();
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name));
  return new Map(paths.map((path) => [path.slice(folder.length), readFileSync(path, "utf8")]));
}

function generateFresh(use) {
  const fresh = mkdtempSync(join(tmpdir(), "gatehouse-wire-"));
  try {
    generateInto(fresh);
    use(fresh);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

const VERBS = {
  lint: () => run("lint", "proto"),
  breaking: () => run("breaking", "proto", "--against", BASELINE),
  baseline: () => run("build", "proto", "--as-file-descriptor-set", "--exclude-source-info", "-o", BASELINE),
  generate: () =>
    generateFresh((fresh) => {
      rmSync(GENERATED, { recursive: true, force: true });
      cpSync(fresh, GENERATED, { recursive: true });
    }),
  check: () =>
    generateFresh((fresh) => {
      const [want, have] = [filesOf(fresh), filesOf(GENERATED)];
      const stale = [...new Set([...want.keys(), ...have.keys()])].filter((path) => want.get(path) !== have.get(path));
      if (stale.length > 0) throw new Error(`generated code is not current (npm run protos): ${stale.join(", ")}`);
    }),
};

try {
  const verbs = process.argv.slice(2);
  if (verbs.length === 0 || verbs.some((verb) => !Object.hasOwn(VERBS, verb))) {
    throw new Error(`usage: node tools/protos.mjs ${Object.keys(VERBS).join("|")} …`);
  }
  await writeRules();
  for (const verb of verbs) VERBS[verb]();
} catch (failure) {
  console.error(failure.message);
  process.exitCode = 1;
}
