import { availableParallelism } from "node:os";
import { defaultEngineSockets, defaultStateDir, defaultWorkspaceRoots } from "../files/default-paths.ts";
import { LOG_FORMATS, LOG_LEVELS } from "../log/log.ts";
import { RETENTION_KEYS } from "./retention-keys.ts";
import {
  booleanType,
  destinationsType,
  driversType,
  hostsType,
  integerType,
  listenType,
  pathsType,
  pathType,
  rangesType,
  textType,
  type ValueType,
  wordMapType,
  wordType,
} from "./value-types.ts";

/** One setting: how it is spelled, read and explained. */
export interface ConfigKeyRow<T> {
  readonly type: ValueType<T>;
  readonly env: string;
  /** Where the command line has one. */
  readonly flag?: string;
  readonly unit?: string;
  readonly default: (env: Readonly<Record<string, string | undefined>>) => T;
  /** The default in the reference, where it depends on the machine. */
  readonly defaultText?: string;
  /** The version that brought it. */
  readonly since: string;
  readonly say: string;
}

const row = <T>(settings: ConfigKeyRow<T>): ConfigKeyRow<T> => settings;
const MEMBER_ROLES = ["viewer", "operator", "admin", "owner"] as const;
const MAX_WAIT_MS = 86_400_000;

/** Every setting there is. The file, the environment, the reference and `config show` are all read off this table. */
export const CONFIG_KEYS = {
  "state.dir": row({
    type: pathType,
    env: "GATEHOUSE_STATE_DIR",
    flag: "--state-dir",
    default: defaultStateDir,
    defaultText: "`$XDG_STATE_HOME/gatehouse`, else `~/.local/state/gatehouse`",
    since: "0.1",
    say: "Everything that the daemon keeps. Must be a directory of this user with mode 0700; created when absent.",
  }),
  "log.level": row({
    type: wordType(LOG_LEVELS),
    env: "GATEHOUSE_LOG_LEVEL",
    default: () => "info" as const,
    since: "0.1",
    say: "The least weight of what is logged.",
  }),
  "log.format": row({
    type: wordType(LOG_FORMATS),
    env: "GATEHOUSE_LOG_FORMAT",
    default: () => "json" as const,
    since: "0.1",
    say: "`json`: one object on a line; `text`: for a person at a terminal.",
  }),
  "gate.port": row({
    type: integerType(0, 65_535),
    env: "GATEHOUSE_GATE_PORT",
    default: () => 0,
    since: "0.1",
    say: "Loopback port of the gate's shared listener. 0: any free one, named in `daemon.lock`.",
  }),
  "gate.listen": row<readonly string[]>({
    type: listenType,
    env: "GATEHOUSE_GATE_LISTEN",
    default: () => [],
    defaultText: "none",
    since: "0.1",
    say: "Addresses beside loopback at which the gate serves containers that outside tools register: a bridge's gateway, say. Without a port: the shared listener's.",
  }),
  "gate.engines": row<readonly string[]>({
    type: pathsType,
    env: "GATEHOUSE_GATE_ENGINES",
    default: defaultEngineSockets,
    defaultText: "Docker's and Podman's usual sockets",
    since: "0.1",
    say: "Sockets of container engines that are asked whether the containers of registered runs still live. Asked only while such a run is there.",
  }),
  "gate.workers": row({
    type: integerType(1, 64),
    env: "GATEHOUSE_GATE_WORKERS",
    default: () => Math.min(availableParallelism(), 4),
    defaultText: "one for each core, 4 at most",
    since: "0.1",
    say: "Processes that carry the traffic.",
  }),
  "gate.upstreamCa": row<string | undefined>({
    type: pathType,
    env: "GATEHOUSE_UPSTREAM_CA",
    default: () => undefined,
    defaultText: "none",
    since: "0.1",
    say: "PEM file with certificates of authorities that the gate trusts beside the system's when it connects outwards.",
  }),
  "gate.hosts": row({
    type: hostsType,
    env: "GATEHOUSE_GATE_HOSTS",
    default: () => ({}),
    defaultText: "none",
    since: "0.1",
    say: "Names that the gate resolves itself, before the system's resolver. Opens nothing: policy still decides. In the environment: `name=address,name=address`.",
  }),
  "gate.connectTimeoutMs": row({
    type: integerType(1, MAX_WAIT_MS),
    unit: "ms",
    env: "GATEHOUSE_GATE_CONNECT_TIMEOUT_MS",
    default: () => 10_000,
    since: "0.1",
    say: "How long a destination may take to accept a connection, its TLS handshake included.",
  }),
  "gate.upstreamTimeoutMs": row({
    type: integerType(1, MAX_WAIT_MS),
    unit: "ms",
    env: "GATEHOUSE_GATE_UPSTREAM_TIMEOUT_MS",
    default: () => 600_000,
    since: "0.1",
    say: "How long a destination may stay silent before the head of its answer.",
  }),
  "gate.idleTimeoutMs": row({
    type: integerType(1, MAX_WAIT_MS),
    unit: "ms",
    env: "GATEHOUSE_GATE_IDLE_TIMEOUT_MS",
    default: () => 300_000,
    since: "0.1",
    say: "How long a connection may lie unused before the gate closes it.",
  }),
  "node.driver": row({
    type: wordType(["auto", "bubblewrap", "unshare", "process"]),
    env: "GATEHOUSE_NODE_DRIVER",
    default: () => "auto" as const,
    since: "0.1",
    say: "How sandboxes are built. `auto`: bubblewrap where it works, else unshare. `process` isolates nothing and is never chosen by itself.",
  }),
  "node.exposeCredentials": row({
    type: booleanType,
    env: "GATEHOUSE_NODE_EXPOSE_CREDENTIALS",
    default: () => false,
    since: "0.1",
    say: "Lets runs of the `process` driver, which share the user's own processes and files, have credentials attached.",
  }),
  "node.commandDrivers": row<readonly ("bubblewrap" | "unshare")[]>({
    type: driversType,
    env: "GATEHOUSE_NODE_COMMAND_DRIVERS",
    default: () => ["bubblewrap", "unshare"],
    defaultText: "`bubblewrap`, `unshare`",
    since: "0.1",
    say: "Drivers of runs that are started from the server, the first that works. `process` is none of them, whatever is asked for.",
  }),
  "node.localDestinations": row<readonly string[]>({
    type: destinationsType,
    env: "GATEHOUSE_NODE_LOCAL_DESTINATIONS",
    default: () => [],
    defaultText: "none",
    since: "0.1",
    say: "Places on loopback or in private networks, as `host:port`, that the policy of a run may state which is started from the server. A place that an operator sealed a credential for needs no entry.",
  }),
  "node.workspaceRoots": row<readonly string[]>({
    type: pathsType,
    env: "GATEHOUSE_NODE_WORKSPACE_ROOTS",
    default: defaultWorkspaceRoots,
    defaultText: "`$XDG_DATA_HOME/gatehouse/workspaces`, else `~/.local/share/gatehouse/workspaces`",
    since: "0.1",
    say: "Directories below which the workspaces of runs lie that are started from the server. The first one takes the private workspaces of runs that name none.",
  }),
  "node.emptyTimeoutMs": row({
    type: integerType(1, MAX_WAIT_MS),
    unit: "ms",
    env: "GATEHOUSE_NODE_EMPTY_TIMEOUT_MS",
    default: () => 300_000,
    since: "0.1",
    say: "How long a daemon that a command started (`gatehouse run`, or `gatehouse up --until-empty`) stays without runs and calls.",
  }),
  "node.stalenessBoundMs": row({
    type: integerType(1_000, MAX_WAIT_MS),
    unit: "ms",
    env: "GATEHOUSE_NODE_STALENESS_BOUND_MS",
    default: () => 900_000,
    since: "0.1",
    say: "How long after the server's newest signed word a node uses its organisation's credentials. Then requests that need one are refused with `gate.bundle_stale` until it is heard again.",
  }),
  "routes.port": row({
    type: integerType(0, 65_535),
    env: "GATEHOUSE_ROUTES_PORT",
    default: () => 8_080,
    since: "0.1",
    say: "Loopback port at which `[service.]agent.localhost` is served, once an agent has registered a service. A busy default gives way to a free one.",
  }),
  "metrics.port": row({
    type: integerType(0, 65_535),
    env: "GATEHOUSE_METRICS_PORT",
    default: () => 9_465,
    since: "0.1",
    say: "Loopback port of `/metrics`, `/livez`, `/readyz` and `/healthz`. When it is not set and 9465 is taken, a free one is used and printed. 0: any free one.",
  }),
  "people.passwords": row({
    type: wordType(["auto", "on", "off"]),
    env: "GATEHOUSE_PEOPLE_PASSWORDS",
    default: () => "auto" as const,
    since: "0.1",
    say: "Whether the server's people sign in by a password that they choose through a link. `auto`: where no `oidc.issuer` is set.",
  }),
  "oidc.issuer": row<string | undefined>({
    type: textType,
    env: "GATEHOUSE_OIDC_ISSUER",
    default: () => undefined,
    defaultText: "none",
    since: "0.1",
    say: "https URL of the OpenID Connect provider at which the server's people sign in, as the provider spells it.",
  }),
  "oidc.clientId": row<string | undefined>({
    type: textType,
    env: "GATEHOUSE_OIDC_CLIENT_ID",
    default: () => undefined,
    defaultText: "none",
    since: "0.1",
    say: "The server's name at the provider. Its redirect URI there: the server's URL and `/sign-in/callback`.",
  }),
  "oidc.clientSecretFile": row<string | undefined>({
    type: pathType,
    env: "GATEHOUSE_OIDC_CLIENT_SECRET_FILE",
    default: () => undefined,
    defaultText: "none",
    since: "0.1",
    say: "File of mode 0600 that holds the client secret.",
  }),
  "oidc.org": row<string | undefined>({
    type: textType,
    env: "GATEHOUSE_OIDC_ORG",
    default: () => undefined,
    defaultText: "none",
    since: "0.1",
    say: "Name of the organisation whose people the provider knows.",
  }),
  "oidc.roleClaim": row({
    type: textType,
    env: "GATEHOUSE_OIDC_ROLE_CLAIM",
    default: () => "groups",
    since: "0.1",
    say: "Claim of the ID token, a text or a list of them, that `oidc.roles` is about.",
  }),
  "oidc.roles": row({
    type: wordMapType(MEMBER_ROLES),
    env: "GATEHOUSE_OIDC_ROLES",
    default: () => ({}),
    defaultText: "none",
    since: "0.1",
    say: "Values of that claim, and the role that each gives. Whoever no rule names is not let in.",
  }),
  "oidc.emailDomains": row({
    type: wordMapType(MEMBER_ROLES),
    env: "GATEHOUSE_OIDC_EMAIL_DOMAINS",
    default: () => ({}),
    defaultText: "none",
    since: "0.1",
    say: "Domains of e-mail addresses that the provider verified, in lower case, and the role that each gives.",
  }),
  "oidc.caFile": row<string | undefined>({
    type: pathType,
    env: "GATEHOUSE_OIDC_CA_FILE",
    default: () => undefined,
    defaultText: "none",
    since: "0.1",
    say: "PEM file with authorities that are trusted beside the usual ones when the provider is asked.",
  }),
  "oidc.addressRanges": row<readonly string[]>({
    type: rangesType,
    env: "GATEHOUSE_OIDC_ADDRESS_RANGES",
    default: () => [],
    defaultText: "none",
    since: "0.1",
    say: "Ranges beside public addresses where the provider may be: `10.0.0.0/8`, say. Metadata and link-local addresses are never asked.",
  }),
  ...RETENTION_KEYS,
  "records.maxBytes": row({
    type: integerType(65_536, 2 ** 40),
    unit: "bytes",
    env: "GATEHOUSE_RECORDS_MAX_BYTES",
    default: () => 64 * 1_048_576,
    since: "0.1",
    say: "Size at which a file of request records is closed and the next one begun.",
  }),
  "records.maxFiles": row({
    type: integerType(1, 10_000),
    env: "GATEHOUSE_RECORDS_MAX_FILES",
    default: () => 8,
    since: "0.1",
    say: "Files of request records that are kept; the oldest goes first.",
  }),
} as const;

export type ConfigKey = keyof typeof CONFIG_KEYS;
/** The type of each setting's value. */
export type ConfigValues = {
  readonly [K in ConfigKey]: (typeof CONFIG_KEYS)[K] extends ConfigKeyRow<infer T> ? T : never;
};
