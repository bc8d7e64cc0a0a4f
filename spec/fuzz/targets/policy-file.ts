import { ok, deepStrictEqual as same } from "node:assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readPlacedFile } from "../../../packages/cli/src/policy/policy-file.ts";
import { compilePolicy, Problem } from "../../../packages/core/src/index.ts";
import { mutate } from "../../../packages/gate/test/http1/mutate.ts";
import { type FuzzTarget, unlessRefused } from "../fuzz-target.ts";

const corpus = [
  "mode: strict\nrules:\n  - action: allow\n    hosts: [api.test, '*.other.test']\n    methods: [GET]\n",
  "rules:\n  - &one { action: deny, hosts: [api.test] }\n  - *one\n",
  "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
  "mode: *nothing\n",
  "--- !!map\n? mode\n: permissive\n...\n",
  "mode: strict # why\nrules: []\nname: 'it''s'\n",
  'mode: "str\\x69ct"\nallow:\n- |\n  api.test\n- >-\n  other\n  test\n',
  '{"mode": "strict", "rules": [{"action": "allow", "hosts": ["api.test"], "ports": [443]}]}',
  '{"mode": "permissive", "mode": "strict", "__proto__": {"mode": "permissive"}}',
  "<<: { mode: permissive }\n0x10: 1e3\nnull: ~\n",
].map((text) => Buffer.from(text));
const PATHS: readonly (readonly (string | number)[])[] = [[], ["mode"], ["rules", 0, "hosts", 1], ["rules", "x", 7]];

/** Policy files: a Problem, or a value with places in the file, and what is JSON means the same as YAML. */
export const target: FuzzTarget = {
  corpus,
  generate: (random) => mutate(corpus, random),
  check: async (bytes) => {
    const file = await readOrRefuse(bytes);
    if (file === undefined) return;
    for (const path of PATHS) {
      const { line, column } = file.place(path);
      ok(line >= 1 && column >= 1);
    }
    unlessRefused(() => compilePolicy(file.value));
    const json = asJson(bytes.toString());
    if (json !== undefined) same(file.value, json.value);
  },
};

async function readOrRefuse(bytes: Buffer) {
  const directory = mkdtempSync(join(tmpdir(), "gatehouse-policy-"));
  const path = join(directory, "policy.yaml");
  try {
    writeFileSync(path, bytes);
    return await readPlacedFile(path, "policy.invalid");
  } catch (failure) {
    if (failure instanceof Problem) return undefined;
    throw failure;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function asJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}
