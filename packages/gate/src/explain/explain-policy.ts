import { compilePolicy, type NetworkPolicyInput, parseRunId } from "@gatehouse/core";
import type { CredentialInfo } from "../credentials/credential-store.ts";
import type { Template } from "../credentials/templates.ts";
import { injectionsOf } from "../holder/build-snapshot.ts";
import { policyOfGrants } from "../holder/policy-of-grants.ts";
import type { Injection } from "../snapshot/run-snapshot.ts";
import { CompiledRun } from "../worker/compile-run.ts";
import { type AskedRequest, type ExplainDeps, type Explanation, explainRequest } from "./explain-request.ts";

/** Explains a request under a policy alone, of a run that has no grants. Fails with `policy.invalid` too. */
export function explainUnderPolicy(written: unknown, asked: AskedRequest, deps: ExplainDeps): Promise<Explanation> {
  return explainRequest(wouldBeRun(compilePolicy(written).input, []), asked, deps);
}

/** Explains a request of a run that is about to be started with this policy and these grants. */
export function explainUnderGrants(
  run: {
    readonly policy: unknown;
    readonly granted: readonly CredentialInfo[];
    readonly templates: ReadonlyMap<string, Template>;
  },
  asked: AskedRequest,
  deps: ExplainDeps,
): Promise<Explanation> {
  const { policy } = policyOfGrants(compilePolicy(run.policy).input, run.granted, run.templates);
  // Which header a grant sets does not depend on its value, so none is opened.
  const injections = run.granted.flatMap(({ name, bindings }) =>
    bindings.flatMap((one) => injectionsOf({ name }, one, "")),
  );
  return explainRequest(wouldBeRun(policy, injections), asked, deps);
}

function wouldBeRun(policy: NetworkPolicyInput, injections: readonly Injection[]): CompiledRun {
  return new CompiledRun({
    runId: parseRunId("explained"),
    agent: undefined,
    project: undefined,
    tokenHash: "",
    place: { kind: "shared" },
    isExternal: false,
    containerAddresses: undefined,
    policy,
    injections,
    slots: [],
    transformers: [],
    mcpServers: [],
    extraHeaders: [],
    removeHeaders: [],
    placeholders: [],
    scrub: [],
    scrubHosts: [],
  });
}
