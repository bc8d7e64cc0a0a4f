import { type DoctorCheck, failed, passed, runDoctor } from "@gatehouse/node";
import { checkEndToEnd } from "../doctor/check-end-to-end.ts";
import { type Invocation, isSet } from "../invocation.ts";
import { colour, printJson, printLine } from "../terminal/print.ts";

const EXITS = { host: 3, setup: 1 } as const;

/** Tries every hop: 3 when this host cannot do it, 1 when what stands on it is not in order. */
export async function doctor(invocation: Invocation): Promise<number> {
  const isJson = isSet(invocation, "json");
  const onCheck = (check: DoctorCheck) => {
    if (!isJson) printCheck(check);
  };
  const settings = checkSettings(invocation);
  onCheck(settings);
  const hops = await runDoctor(invocation.config, onCheck);
  const whole = await checkEndToEnd(hops);
  onCheck(whole);
  const checks = [settings, ...hops, whole];
  const broken = checks.filter(({ ok, isNeeded }) => !ok && isNeeded);
  if (isJson) {
    const rows = checks.map(({ isNeeded, ...check }) => ({ ...check, needed: isNeeded }));
    printJson({ ok: broken.length === 0, checks: rows });
  } else printLine(verdictOn(broken));
  return Math.max(0, ...broken.map(({ concerns }) => EXITS[concerns]));
}

function checkSettings({ configFault }: Invocation): DoctorCheck {
  const about = { name: "settings", concerns: "setup" } as const;
  if (configFault === undefined)
    return passed(about, "every setting is known and of its type (config show lists them)");
  return failed(about, configFault.message, "Correct that setting. What follows was tried with the defaults.");
}

function verdictOn(broken: readonly DoctorCheck[]): string {
  if (broken.length === 0) return "Every hop holds.";
  const isHost = broken.some(({ concerns }) => concerns === "host");
  return isHost
    ? "This machine cannot run sandboxes yet."
    : "This machine can run sandboxes; the setup is not in order.";
}

function printCheck({ name, ok, detail, fix, isNeeded }: DoctorCheck): void {
  const mark = isNeeded ? colour("FAIL", "red") : colour("--  ", "yellow");
  printLine(`${ok ? colour("ok  ", "green") : mark} ${name.padEnd(18)} ${detail}`);
  if (!ok && fix !== undefined) printLine(`     ${" ".repeat(18)} fix: ${fix}`);
}
