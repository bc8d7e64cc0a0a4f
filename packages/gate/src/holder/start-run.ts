import { compilePolicy, Problem, parseRunId, type Random } from "@gatehouse/core";
import type { CertificateAuthority } from "@gatehouse/kit";
import { makePlaceholder, PLAIN_PLACEHOLDER } from "../credentials/placeholder.ts";
import type { Template } from "../credentials/templates.ts";
import type { GrantedCredentials } from "../fleet/granted-credentials.ts";
import type { RunRegistry } from "../registry/run-registry.ts";
import type { StartedRun, StartRun } from "./gate-protocol.ts";
import { policyOfGrants } from "./policy-of-grants.ts";

export interface StartRunDeps {
  readonly registry: RunRegistry;
  readonly credentials: GrantedCredentials;
  readonly templates: ReadonlyMap<string, Template>;
  readonly random: Random;
  /** Runs without isolation may have credentials. */
  readonly exposesCredentials: boolean;
  readonly proxyPort: number;
  readonly ca: CertificateAuthority;
}

/**
 * Registers a run that the node starts: its grants open their hosts, their templates' endpoints that hand out
 * credentials are closed, and each gets a placeholder. Fails with `grants.not_found`, `credentials.unreadable`,
 * `runs.id_taken` and what the policy fails with; a run without isolation and with grants fails with
 * `credentials.exposed` unless configured.
 */
export async function startRun(start: StartRun, deps: StartRunDeps): Promise<StartedRun> {
  const granted = start.grants.map((name) => deps.credentials.require(name));
  if (start.isExposed && granted.length > 0 && !deps.exposesCredentials) {
    throw new Problem("credentials.exposed", { detail: "Use an isolating driver, or set node.exposeCredentials." });
  }
  const { policy, allowed, templates } = policyOfGrants(start.policy, granted, deps.templates);
  const placeholders: Record<string, string> = {};
  const env: Record<string, string> = {};
  for (const [index, { name }] of granted.entries()) {
    const template = templates[index];
    const placeholder = makePlaceholder(template?.placeholder ?? PLAIN_PLACEHOLDER, deps.random);
    placeholders[name] = placeholder;
    for (const variable of template?.env ?? []) env[variable] = placeholder;
  }
  const runId = parseRunId(start.runId);
  const token = await deps.registry.add({
    values: { credentials: [], slots: [], extraHeaders: [] },
    run: {
      runId,
      containerId: undefined,
      agent: start.agent,
      project: start.project,
      place: start.keeper === undefined ? { kind: "shared" } : { kind: "sandbox", keeper: start.keeper },
      isExposed: start.isExposed,
      grants: granted.map(({ name }) => name),
      placeholders,
      policy,
      removeHeaders: [],
      transformers: [],
      mcpServers: [],
    },
  });
  return {
    token,
    proxyPort: deps.proxyPort,
    env,
    allowed,
    caCertificatePem: deps.ca.certificatePem,
    statesLoopback: compilePolicy(policy).statesLoopback(),
  };
}
