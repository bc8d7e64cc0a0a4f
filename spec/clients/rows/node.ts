import { SANDBOX_NODE } from "@gatehouse/testbed";
import type { Client } from "../client.ts";
import { openOwnApi } from "../own-services.ts";
import { openAnthropic, openGithubApi, openOpenai } from "../real-services.ts";
import { CLIENTS_FOLDER, installNpmPackages, PROGRAMS } from "../toolchains.ts";

type Row = Pick<Client, "name" | "authentication" | "exercised" | "notes" | "service" | "unauthorised" | "refused"> & {
  readonly program: string;
  /** The npm package whose version is stated; absent: the runtime's own. */
  readonly library?: string;
  readonly ownAuthentication?: Readonly<Record<string, string>>;
};

function node({ program, library, ownAuthentication, ...row }: Row): Client {
  return {
    ...row,
    needs: library === undefined ? [] : ["/usr/bin/npm"],
    use: async ({ origin }) => {
      if (library !== undefined) await installNpmPackages();
      const manifest = `${CLIENTS_FOLDER}/node_modules/${library}/package.json`;
      return {
        version:
          library === undefined
            ? `${SANDBOX_NODE} --version`
            : `${SANDBOX_NODE} -p 'JSON.parse(fs.readFileSync("${manifest}")).version'`,
        script: `${SANDBOX_NODE} ${PROGRAMS}/${program} ${origin}`,
        mounts: [CLIENTS_FOLDER],
        ...(ownAuthentication === undefined ? {} : { ownAuthentication }),
      };
    },
  };
}

const OWN = {
  authentication: "`Authorization: Bearer`",
  exercised: "GET, 2.7 MB by POST as a stream",
  service: openOwnApi,
} as const;

export const NODE: readonly Client[] = [
  node({
    ...OWN,
    name: "Node.js fetch",
    program: "node-fetch.mjs",
    notes: "Node.js 24 or newer honours the proxy variables (`NODE_USE_ENV_PROXY`, which a sandbox sets).",
    unauthorised: /status 401/,
    refused: /\b403\b/,
  }),
  node({
    ...OWN,
    name: "undici",
    program: "undici.mjs",
    library: "undici",
    notes: "With its `EnvHttpProxyAgent`.",
    unauthorised: /status 401/,
    refused: /\b403\b/,
  }),
  node({
    ...OWN,
    name: "axios",
    program: "axios.mjs",
    library: "axios",
    unauthorised: /status code 401/,
    refused: /\b403\b/,
  }),
  node({
    name: "octokit",
    program: "octokit.mjs",
    library: "octokit",
    authentication: "`Authorization: Bearer` (service `github`)",
    exercised: "REST read and write, GraphQL, at `https://api.github.com`",
    service: openGithubApi,
    ownAuthentication: { GITHUB_TOKEN: "ghp_stale0000000000000000000000000000000000" },
    unauthorised: /\b401\b/,
    refused: /\b403\b/,
  }),
  node({
    name: "Anthropic SDK",
    program: "anthropic.mjs",
    library: "@anthropic-ai/sdk",
    authentication: "`Authorization: Bearer` (service `anthropic`)",
    notes: "Other clients send the key in `x-api-key`; the service knows both.",
    exercised: "a message, a message as a stream of events, at `https://api.anthropic.com`",
    service: openAnthropic,
    ownAuthentication: { ANTHROPIC_API_KEY: "sk-ant-api03-stale" },
    unauthorised: /\b401\b/,
    refused: /\b403\b/,
  }),
  node({
    name: "OpenAI SDK",
    program: "openai.mjs",
    library: "openai",
    authentication: "`Authorization: Bearer` (service `openai`)",
    exercised: "a completion, a completion as a stream of events, at `https://api.openai.com`",
    service: openOpenai,
    ownAuthentication: { OPENAI_API_KEY: "sk-proj-stale" },
    unauthorised: /\b401\b/,
    refused: /\b403\b/,
  }),
];
