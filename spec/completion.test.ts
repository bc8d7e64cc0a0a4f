import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openFakeApi, plantValue, REPOSITORY, runProcess, startWorld, type World } from "@gatehouse/testbed";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

let world: World;
let runId = "";

beforeAll(async () => {
  world = await startWorld();
  await using api = await openFakeApi();
  await world.addCredential("deploy-key", { host: `api.example.test:${api.port}`, value: plantValue() });
  const started = await world.cli(["run", "-d", "--", "sleep", "300"]);
  runId = started.stdout.trim();
  const bin = join(world.paths.directory, "bin");
  await mkdir(bin);
  await writeFile(
    join(bin, "gatehouse"),
    `#!/bin/sh\nexec ${process.execPath} ${REPOSITORY}/dist/gatehouse.js "$@"\n`,
    { mode: 0o755 },
  );
  await mkdir(join(world.paths.workspace, "some-folder"));
  await writeFile(join(world.paths.workspace, "some-file.yaml"), "");
});
afterAll(() => world[Symbol.asyncDispose]());

function environment(): Readonly<Record<string, string>> {
  const { PATH, ...rest } = world.environment;
  const HOME = world.paths.directory;
  return { ...rest, HOME, PATH: `${HOME}/bin:${PATH}`, GATEHOUSE_STATE_DIR: world.paths.stateDir };
}

async function ask(shell: string, script: string): Promise<readonly string[]> {
  const how = { env: environment(), cwd: world.paths.workspace };
  const { code, stdout, stderr } = await runProcess(shell, ["-c", script], how);
  expect(code, stderr).toBe(0);
  return stdout.split("\n").filter((line) => line !== "");
}

/** What bash offers at the end of a line, by the function that it would call itself. */
function inBash(line: string, before = ""): Promise<readonly string[]> {
  return ask(
    "bash",
    `shopt -s expand_aliases
     ${before}
     source <(gatehouse completion bash)
     compopt() { :; }
     COMP_LINE=${JSON.stringify(line)}; COMP_POINT=\${#COMP_LINE}
     read -ra COMP_WORDS <<< "$COMP_LINE"
     [[ $COMP_LINE == *" " ]] && COMP_WORDS+=("")
     COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
     how=$(complete -p "\${COMP_WORDS[0]##*/}"); how=\${how#*-F }; \${how%% *}
     printf '%s\\n' "\${COMPREPLY[@]}"`,
  );
}

function inFish(line: string, before = ""): Promise<readonly string[]> {
  return ask("fish", `${before}\ngatehouse completion fish | source; complete -C ${JSON.stringify(line)}`);
}

/** zsh completes only at a terminal: its own module opens one. */
function inZsh(line: string, before = ""): Promise<readonly string[]> {
  return ask(
    "zsh",
    `zmodload zsh/zpty
     zpty z zsh -f -i
     zpty -w z 'PS1=; unset zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; source <(gatehouse completion zsh); ${before}'
     zpty -w z 'compadd() { print -l -- "$@" >> ${world.paths.directory}/zsh.txt; builtin compadd "$@" }; print rea""dy'
     zpty -r -m z z_out '*ready*'
     zpty -w -n z ${JSON.stringify(line)}$'\\t'
     for i in {1..200}; do [[ -s ${world.paths.directory}/zsh.txt ]] && break; sleep 0.02; done
     cat ${world.paths.directory}/zsh.txt; rm -f ${world.paths.directory}/zsh.txt
     zpty -d z`,
  );
}

describe.each([
  ["bash", inBash],
  ["fish", inFish],
  ["zsh", inZsh],
])("%s completes", (_, complete) => {
  test("commands and what stands below them", async () => {
    expect(await complete("gatehouse re")).toContain("revoke");
    const below = await complete("gatehouse policy ");
    for (const name of ["explain", "test", "lint", "suggest"]) expect(below).toContain(name);
  });

  test("options, and values that are one of a few", async () => {
    expect(await complete("gatehouse run --dr")).toContain("--driver");
    expect(await complete("gatehouse run --driver b")).toContain("bubblewrap");
  });

  test("by whatever path or alias it is called", async () => {
    for (const path of [`${world.paths.directory}/bin/gatehouse`, "~/bin/gatehouse", "../bin/gatehouse"]) {
      expect(await complete(`${path} re`), path).toContain("revoke");
    }
    expect(await complete("gh re", "alias gh=gatehouse")).toContain("revoke");
    expect(await complete("deny --dr", 'alias deny="gatehouse run"')).toContain("--driver");
  });

  test("grants, runs and services that the daemon knows", async () => {
    expect(await complete("gatehouse run --grant de")).toContain("deploy-key");
    expect(await complete("gatehouse revoke de")).toContain("deploy-key");
    expect(await complete(`gatehouse stop ${runId.slice(0, 3)}`)).toContain(runId);
    expect(await complete("gatehouse grant gith")).toContain("github");
  });
});

describe("bash completes", () => {
  test("files and directories where they belong", async () => {
    expect(await inBash("gatehouse policy lint some")).toEqual(
      expect.arrayContaining(["some-file.yaml", "some-folder"]),
    );
    expect(await inBash("gatehouse run --workspace some")).toEqual(["some-folder"]);
    expect(await inBash("gatehouse run -- some-f")).toContain("some-file.yaml");
  });

  test("an option's value after an equals sign, which it counts as a word", async () => {
    expect(await inBash("gatehouse run --grant = de")).toEqual(["deploy-key"]);
  });

  test("nothing where nothing fits, without a word of complaint", async () => {
    for (const line of [
      "gatehouse ls x",
      "gatehouse nothing ",
      "gatehouse run --agent ",
      "gatehouse policy lint --nothing ",
    ]) {
      expect((await inBash(line)).filter((word) => !word.startsWith("some-"))).toEqual([]);
    }
  });
});

test("a press of the key is answered at once, whether the daemon is there or not", async () => {
  const complete = [`${REPOSITORY}/dist/gatehouse.js`, "__complete", "run", "--grant", ""];
  const took = { bare: Infinity, with: Infinity, without: Infinity };
  const measure = async (name: keyof typeof took, args: readonly string[], env = environment()) => {
    const began = performance.now();
    await runProcess(process.execPath, args, { env });
    took[name] = Math.min(took[name], performance.now() - began);
  };
  for (let count = 0; count < 7; count += 1) {
    await measure("bare", ["-e", "0"]);
    await measure("with", complete);
    await measure("without", complete, { ...environment(), GATEHOUSE_STATE_DIR: "/nonexistent" });
  }
  // On a busy machine the runtime alone takes longer than it should.
  const limit = Math.max(100, 5 * took.bare);
  expect(took.with).toBeLessThan(limit);
  expect(took.without).toBeLessThan(limit);
});
