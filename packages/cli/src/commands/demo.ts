import { runChecks } from "../demo/run-checks.ts";
import { type Invocation, isSet } from "../invocation.ts";
import { colour, printJson, printLine } from "../terminal/print.ts";

/** What each check means to a person. */
const STORY: Readonly<Record<string, string>> = {
  "sandboxed-call-authenticated": "A sandboxed program called a service, and the gate attached the credential.",
  "denied-host-refused": "It asked for a host that no rule allows, and was refused.",
  "response-carries-no-secret": "The service echoed the credential; the gate took it out of the answer.",
  "secret-not-in-sandbox": "The credential was searched for in the whole sandbox, and is not there.",
  "no-route-but-gate": "It knocked at every other way out, and none opened.",
  "request-recorded": "What it did is on record.",
  "audit-verifies": "All of it is in a log that anyone can verify, and a copy that was changed is refused.",
  "revoked-next-request": "The grant was taken back, and the next request went without.",
};

/** Shows the promise on real processes, offline, and ends; 1 when any part of it did not hold. */
export async function demo(invocation: Invocation): Promise<number> {
  const isJson = isSet(invocation, "json");
  const began = performance.now();
  if (!isJson)
    printLine(`${colour("Gatehouse demo", "bold")}: a fake service, a sandbox, a credential it must not see.\n`);
  const checks = await runChecks(({ name, ok, detail }) => {
    if (isJson) return;
    printLine(`${ok ? colour("✓", "green") : colour("✗", "red")} ${STORY[name] ?? name}`);
    printLine(colour(`    ${detail}`, "dim"));
  });
  const isGood = checks.every(({ ok }) => ok);
  if (isJson) printJson({ ok: isGood, checks });
  else {
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    printLine(
      `\n${isGood ? "Every promise held" : colour("A promise did not hold", "red")} (${seconds} s). Nothing of it is left behind.`,
    );
  }
  return isGood ? 0 : 1;
}
