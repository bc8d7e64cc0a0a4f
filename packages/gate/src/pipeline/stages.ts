import { applyHostHeaders } from "./apply-host-headers.ts";
import { checkDestination } from "./check-destination.ts";
import { checkPlaceholders } from "./check-placeholders.ts";
import { checkPolicy } from "./check-policy.ts";
import { fillSlots } from "./fill-slots.ts";
import { injectCredentials } from "./inject-credentials.ts";
import { normaliseTarget } from "./normalise-target.ts";
import { prepareScrubbing } from "./prepare-scrubbing.ts";
import type { Refusal, RequestContext, Stage } from "./request-context.ts";
import { requireCredential } from "./require-credential.ts";
import { stripClientAuth } from "./strip-client-auth.ts";

/**
 * What happens to every request between its head and the upstream, in this order. The run was identified when the
 * connection was accepted and is looked up again for each request; nothing is dialed before the last stage agreed.
 */
const STAGES = [
  checkDestination, // one destination: tunnel, target and Host agree
  normaliseTarget, // one reading of the path; overrides removed, so that what is matched is what is sent
  checkPolicy, // the run's rules allow it
  fillSlots, // the real value where a placeholder stands in its slot
  checkPlaceholders, // no placeholder outside a slot
  stripClientAuth, // nobody else's credential leaves under this run's name
  applyHostHeaders, // headers that the run's registration adds or removes
  injectCredentials, // the credential, in the header that its grant owns
  requireCredential, // what was addressed to an MCP server by its name goes with that server's credential
  prepareScrubbing, // the answer must come in a form that can be scrubbed
] as const satisfies readonly Stage[];

/** Runs the stages; the first refusal ends them. */
export function runStages(context: RequestContext): Refusal | undefined {
  for (const stage of STAGES) {
    const refusal = stage(context);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}
