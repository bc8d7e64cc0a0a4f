import { type DoctorCheck, runDoctor } from "@gatehouse/node";
import { type Invocation, isSet } from "../invocation.ts";
import { colour, printJson, printLine } from "../terminal/print.ts";

const HOST_CANNOT = 3;

/** Tries what a run needs; ends with 3 when this host cannot do it. */
export async function doctor(invocation: Invocation): Promise<number> {
  const checks = await runDoctor(invocation.config);
  const isFit = checks.every(({ ok, isNeeded }) => ok || !isNeeded);
  if (isSet(invocation, "json")) {
    printJson({ ok: isFit, checks: checks.map(({ isNeeded, ...check }) => ({ ...check, needed: isNeeded })) });
  } else {
    for (const check of checks) printCheck(check);
    printLine(isFit ? "This machine can run sandboxes." : "This machine cannot run sandboxes yet.");
  }
  return isFit ? 0 : HOST_CANNOT;
}

function printCheck({ name, ok, detail, fix, isNeeded }: DoctorCheck): void {
  const failed = isNeeded ? colour("FAIL", "red") : colour("--  ", "yellow");
  printLine(`${ok ? colour("ok  ", "green") : failed} ${name.padEnd(18)} ${detail}`);
  if (!ok && fix !== undefined) printLine(`     ${" ".repeat(18)} fix: ${fix}`);
}
