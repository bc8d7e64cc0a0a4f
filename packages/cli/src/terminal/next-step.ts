import type { ProblemCode } from "@gatehouse/core";

const ENROLL_CODE = "gatehouse nodes enroll-code, on an operator's machine, makes another one";
const SETUP_CODE = "it is in the file setup-code of the server's state directory, or: gatehouse server setup-code";

export interface CalledCommand {
  /** Its name, or its group's. */
  readonly group: string;
  /** Its name, with its group's before it where it is in one. */
  readonly command: string;
}

/** What a person can do about a failure, where its own sentence does not say so. */
const NEXT_STEPS: Readonly<Partial<Record<ProblemCode, string>>> = {
  "audit.not_export": "gatehouse audit export --out FILE writes one",
  "auth.forbidden": "gatehouse members ls says who is an owner and can change your role",
  "auth.refused": "gatehouse login, with a key that has not ended; on a node: gatehouse node status",
  "config.port_busy": "ss -ltnp shows who listens there; take another port, or end that process",
  "credentials.not_found": "gatehouse credentials ls",
  "credentials.unreadable": "gatehouse revoke NAME, then gatehouse grant SERVICE",
  "daemon.unreachable": "gatehouse up",
  "enroll.bad_code": ENROLL_CODE,
  "enroll.code_spent": ENROLL_CODE,
  "enroll.not_waiting": "gatehouse nodes ls shows who is confirmed, gatehouse nodes codes who waits",
  "grants.not_found": "gatehouse credentials ls",
  "keys.not_found": "gatehouse api-keys ls",
  "members.not_found": "gatehouse members ls",
  "native.unavailable": "gatehouse doctor",
  "nodes.not_connected": "gatehouse nodes ls shows who is online; on that host: gatehouse node run",
  "nodes.not_found": "gatehouse nodes ls",
  "org.bad_setup_code": SETUP_CODE,
  "org.key_missing":
    "gatehouse org operator-key here, then gatehouse org certify KEY where that key is; confirm nodes there",
  "org.not_joined": "gatehouse login, or gatehouse org init",
  "org.setup_code_spent": SETUP_CODE,
  "policies.not_found": "gatehouse policy ls",
  "policy.invalid": "gatehouse policy lint FILE",
  "runs.not_found": "gatehouse ls",
  "runs.taken_over": "gatehouse attach RUN takes it back, gatehouse logs RUN -f looks on",
  "sandbox.unavailable": "gatehouse doctor",
  "sandbox.workspace_refused": "name a directory of your project's own, for --workspace or --mount",
  "store.missing": "gatehouse server, or --database-url-file FILE where the rows are in PostgreSQL",
  "store.unreachable": "on the server: does PostgreSQL listen where --database-url-file says?",
  "state.locked": "use what runs there, or end it first; gatehouse up --take-over replaces a daemon",
  "state.unsafe_directory": "gatehouse doctor",
};

/** Where a command, or a group of them, has a way of its own, or none. */
const OWN: Readonly<Record<string, Readonly<Partial<Record<ProblemCode, string | undefined>>>>> = {
  "policy lint": { "policy.invalid": undefined },
  server: { "state.locked": "use the server that runs there, or end it first" },
  trace: { "daemon.unreachable": "gatehouse up; a node's requests are shown on that node: gatehouse trace" },
};

export function nextStep(code: ProblemCode, { group, command }: CalledCommand): string | undefined {
  const own = OWN[command] ?? OWN[group] ?? {};
  return code in own ? own[code] : NEXT_STEPS[code];
}
