import type { SERVICES } from "./services.ts";

/**
 * How a caller proves who it is. `bootstrap`: by what the request itself carries (a code, a signature), within the
 * failure budget. `node`: a session token and a DPoP proof by the node's key. `setup`: a set-up code. `operator`: an
 * operator's key, with the row's permission. `anyone`: not at all, within the bounds for callers that are not known.
 */
export type CallerAuth = "bootstrap" | "node" | "setup" | "operator" | "anyone";

/** What an operator's role may allow. */
export type Permission =
  | "org:read"
  | "org:manage"
  | "member:manage"
  | "session:manage"
  | "key:own"
  | "node:read"
  | "node:manage"
  | "node:command"
  | "run:read"
  | "credential:read"
  | "credential:manage"
  | "policy:read"
  | "policy:manage"
  | "audit:read";

/** What a log line may show of a message: all of it, all but the fields marked `debug_redact`, or nothing. */
export type LogClass = "plain" | "redact" | "suppress";

/** The modes of the program that serve RPCs. */
export type ServingMode = "server" | "combined";

interface Row {
  readonly log: LogClass;
  readonly modes: readonly ServingMode[];
}

/** Who may call one RPC. */
export type CallerRow = Row &
  ({ readonly auth: Exclude<CallerAuth, "operator"> } | { readonly auth: "operator"; readonly permission: Permission });

type Services = typeof SERVICES;
type Rows = { readonly [S in keyof Services]: { readonly [M in keyof Services[S]["method"]]: CallerRow } };

const MODES = ["server", "combined"] as const;

function node(log: LogClass): CallerRow {
  return { auth: "node", log, modes: MODES };
}

function operator(permission: Permission, log: LogClass = "plain"): CallerRow {
  return { auth: "operator", permission, log, modes: MODES };
}

const ANYONE = { auth: "anyone", log: "plain", modes: MODES } as const satisfies CallerRow;
const BOOTSTRAP = { auth: "bootstrap", log: "redact", modes: MODES } as const satisfies CallerRow;

/** Every RPC of every service: who may call, what may be logged, where it is served. A missing row is a type error. */
export const CALLERS = {
  "gatehouse.gateway.v1.NodeGatewayService": {
    register: BOOTSTRAP,
    awaitConfirmation: BOOTSTRAP,
    beginAuthHandshake: BOOTSTRAP,
    completeAuthHandshake: BOOTSTRAP,
    rotateApiKey: node("redact"),
    leave: node("plain"),
    uploadHeartbeat: node("redact"),
    uploadTelemetry: node("suppress"),
    uploadEvents: node("suppress"),
    uploadAudit: node("suppress"),
    fetchBundle: node("suppress"),
    tellPast: node("suppress"),
    controlStream: node("suppress"),
    runStream: node("suppress"),
  },
  "gatehouse.admin.v1.OrgAdminService": {
    createOrg: { auth: "setup", log: "redact", modes: MODES },
    getOrg: operator("org:read"),
    putRoster: operator("node:manage"),
    listMembers: operator("org:read"),
    addMember: operator("member:manage"),
    setMemberRole: operator("member:manage"),
    removeMember: operator("member:manage"),
    inviteMember: operator("member:manage", "redact"),
    listSessions: operator("key:own"),
    endSessions: operator("key:own"),
    listApiKeys: operator("org:read"),
    createApiKey: operator("key:own", "redact"),
    revokeApiKey: operator("key:own"),
  },
  "gatehouse.admin.v1.NodeAdminService": {
    createEnrollmentCode: operator("node:manage", "redact"),
    listEnrollmentCodes: operator("node:read"),
    cancelEnrollment: operator("node:manage"),
    listNodes: operator("node:read"),
    getNode: operator("node:read"),
    confirmNode: operator("node:manage", "redact"),
    revokeNode: operator("node:manage"),
    replaceNode: operator("node:manage", "redact"),
    transferNode: operator("node:manage"),
    cordonNode: operator("node:manage"),
    labelNode: operator("node:manage"),
    rotateNodeApiKey: operator("node:manage", "redact"),
    acceptNode: operator("node:manage"),
    sendCommand: operator("node:command", "suppress"),
    listCommands: operator("node:read", "suppress"),
    cancelCommand: operator("node:command"),
    watchEvents: operator("node:read"),
    attachRun: operator("node:command", "suppress"),
    listRuns: operator("run:read"),
    queryTelemetry: operator("node:read"),
  },
  "gatehouse.admin.v1.CredentialAdminService": {
    putCredential: operator("credential:manage", "suppress"),
    listCredentials: operator("credential:read"),
    getCredential: operator("credential:manage", "suppress"),
    revokeCredential: operator("credential:manage"),
  },
  "gatehouse.admin.v1.PolicyAdminService": {
    putPolicy: operator("policy:manage"),
    listPolicies: operator("policy:read"),
    getPolicy: operator("policy:read"),
    listPolicyVersions: operator("policy:read"),
    assignPolicy: operator("policy:manage"),
    deletePolicy: operator("policy:manage"),
  },
  "gatehouse.admin.v1.AuditAdminService": {
    exportAudit: operator("audit:read", "suppress"),
    proveAuditEntry: operator("audit:read", "suppress"),
  },
  "grpc.health.v1.Health": {
    check: ANYONE,
    watch: ANYONE,
  },
  "grpc.reflection.v1.ServerReflection": {
    serverReflectionInfo: operator("org:read", "suppress"),
  },
} as const satisfies Rows;

/** The full names of the services. */
export type ServiceName = keyof Services;

/** The row of an RPC; `undefined` where there is none, which nobody may call. */
export function callerRow(service: string, method: string): CallerRow | undefined {
  if (!Object.hasOwn(CALLERS, service)) return undefined;
  const rows: Readonly<Record<string, CallerRow>> = CALLERS[service as ServiceName];
  return Object.hasOwn(rows, method) ? rows[method] : undefined;
}
