import type { Client } from "../client.ts";
import { openOwnCrates, openOwnPypi } from "../own-services.ts";
import { openNpm } from "../real-services.ts";
import { CLIENTS_FOLDER, findRust, installNpmPackages, installUv, PYTHON, RUSTC } from "../toolchains.ts";

/** Of clients built on Rust's reqwest. */
const TUNNEL_FAILED = "Says of a refusal only that the tunnel failed; `gatehouse trace` says why.";
const NPM_TOKEN = { NPM_TOKEN: "npm_stale00000000000000000000000000000000" };
const npmrc = `echo '//registry.npmjs.org/:_authToken=\${NPM_TOKEN}' > .npmrc; echo update-notifier=false >> .npmrc`;

/** Package managers. */
export const PACKAGES: readonly Client[] = [
  {
    name: "npm",
    needs: ["/usr/bin/npm"],
    authentication: "`Authorization: Bearer` (service `npm`)",
    exercised: "view, install, publish at `https://registry.npmjs.org`",
    notes: "Publishing wants an `.npmrc` that names `NPM_TOKEN`, as everywhere; the variable holds the placeholder.",
    service: openNpm,
    use: () => ({
      version: "npm --version",
      script: `
        ${npmrc}
        test "$(npm view left-gate version)" = 1.2.3
        echo '{"name":"mine","version":"1.0.0"}' > package.json
        npm install --no-audit --no-fund --loglevel error left-gate
        grep -q 'left-gate works' node_modules/left-gate/index.js
        npm publish --loglevel error`,
      ownAuthentication: NPM_TOKEN,
    }),
    unauthorised: /E401/,
    refused: /\b403\b/,
  },
  {
    name: "pnpm",
    needs: ["/usr/bin/npm"],
    authentication: "`Authorization: Bearer` (service `npm`)",
    exercised: "add at `https://registry.npmjs.org`",
    service: openNpm,
    use: async () => {
      await installNpmPackages();
      const pnpm = `${CLIENTS_FOLDER}/node_modules/.bin/pnpm`;
      return {
        version: `${pnpm} --version`,
        script: `
        echo '{"name":"mine","version":"1.0.0"}' > package.json
        echo 'fetchRetries: 0' > pnpm-workspace.yaml
        ${pnpm} add --store-dir "$PWD/store" left-gate
        grep -q 'left-gate works' node_modules/left-gate/index.js`,
        mounts: [CLIENTS_FOLDER],
      };
    },
    unauthorised: /\b401\b/,
    refused: /tunnel error/,
    notes: TUNNEL_FAILED,
  },
  {
    name: "pip",
    needs: [PYTHON, "/usr/lib/python3/dist-packages/pip"],
    authentication: "`Authorization: Basic __token__:…`",
    exercised: "install from a private index",
    service: openOwnPypi,
    use: ({ origin }) => ({
      version: `${PYTHON} -m pip --version`,
      script: `
        pip="${PYTHON} -m pip --disable-pip-version-check --no-input"
        $pip install --retries 1 --index-url ${origin}/simple/ --target out left-gate
        grep -q 'left-gate works' out/left_gate.py`,
    }),
    unauthorised: /No matching distribution found/,
    refused: /403 Forbidden/,
    notes: "Says of a 401 only that it found nothing; `-v` shows the status.",
  },
  {
    name: "uv",
    needs: [PYTHON, "/usr/lib/python3/dist-packages/pip"],
    authentication: "`Authorization: Basic __token__:…`",
    exercised: "`uv pip install` from a private index",
    service: openOwnPypi,
    use: async ({ origin }) => {
      const uv = await installUv();
      return {
        version: `${uv} --version`,
        script: `
          export UV_HTTP_RETRIES=0
          uv="${uv} pip install --quiet --no-cache --python ${PYTHON}"
          $uv --index-url ${origin}/simple/ --target out left-gate
          grep -q 'left-gate works' out/left_gate.py`,
        mounts: [CLIENTS_FOLDER],
      };
    },
    unauthorised: /401 Unauthorized/,
    refused: /tunnel error/,
    notes: TUNNEL_FAILED,
  },
  {
    name: "cargo",
    needs: [RUSTC],
    authentication: "`Authorization`, the token alone",
    exercised: "sparse index, download, `cargo check` of a crate from a private registry",
    service: openOwnCrates,
    use: async ({ origin }) => {
      const { cargo, rustc, mounts } = await findRust();
      return {
        version: `${cargo} --version`,
        script: `
        export RUSTC=${rustc} CARGO_REGISTRIES_MINE_INDEX=sparse+${origin}/index/ CARGO_NET_RETRY=0
        mkdir src
        printf '[package]\\nname = "mine"\\nversion = "1.0.0"\\nedition = "2021"\\n' > Cargo.toml
        printf '[dependencies]\\nleft-gate = { version = "1", registry = "mine" }\\n' >> Cargo.toml
        printf 'fn main() { println!("{}", left_gate::SAYS); }\\n' > src/main.rs
        ${cargo} check --quiet`,
        mounts,
      };
    },
    unauthorised: /authenticated registries require a credential-provider|token/,
    refused: /\b403\b/,
    notes: "Takes a 401 for a registry that wants a token of its own configuration, and says so.",
  },
];
