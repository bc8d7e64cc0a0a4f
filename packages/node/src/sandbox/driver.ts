import type { SpawnOptions } from "node:child_process";

/** How a run is held in. */
export type DriverName = "bubblewrap" | "unshare" | "process";

/** What a driver holds, as it is shown to people. Probed, not believed: see `probeDriver`. */
export interface Enforcement {
  readonly network: boolean;
  readonly filesystem: boolean;
  readonly processes: boolean;
  readonly noNewPrivileges: boolean;
  readonly seccomp: boolean;
}

export const ENFORCES: Readonly<Record<DriverName, Enforcement>> = {
  bubblewrap: { network: true, filesystem: true, processes: true, noNewPrivileges: true, seccomp: true },
  unshare: { network: true, filesystem: true, processes: true, noNewPrivileges: true, seccomp: true },
  process: { network: false, filesystem: false, processes: false, noNewPrivileges: false, seccomp: false },
};

/** What a sandbox is made of. Paths are absolute and resolved. */
export interface SandboxSpec {
  readonly command: readonly string[];
  readonly workspace: string;
  /** Read-only directories that the caller asked for beside. */
  readonly mounts: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Files made for this run: `CA_BUNDLE`, `JAVA_TRUST_STORE`, `passwd`, `group`, `hosts`, `nsswitch.conf`, `resolv.conf`. */
  readonly runDir: string;
  readonly runtime: string;
  /** The command gets a terminal of its own from `script`; it keeps its session then. */
  readonly isTerminal: boolean;
}

/**
 * Descriptors between keeper and sandbox. `block` holds up the building, while the sandbox's namespaces can be entered;
 * `release` holds up the command, and a keeper that dies releases nobody.
 */
export const FD = { args: 3, seccomp: 4, info: 5, block: 6, release: 7 } as const;

/** A process to spawn. Its sandbox waits, built, until the keeper writes to `FD.block` and `FD.release`. */
export interface SandboxLaunch {
  readonly file: string;
  readonly args: readonly string[];
  /** Its command is the child of a `script`, not that itself. */
  readonly isTerminal: boolean;
  readonly env: SpawnOptions["env"];
  readonly cwd: string;
  /** Written to the descriptor and closed. */
  readonly feeds: readonly { readonly fd: number; readonly data: Buffer }[];
  /** Written before it starts; only the owner reads them. */
  readonly files: readonly { readonly path: string; readonly text: string }[];
  /** How the process id of the sandbox's init is learned; absent where there is no sandbox. */
  readonly info: "bubblewrap-json" | "child-of-unshare" | undefined;
}

/** Home directory inside. */
export const SANDBOX_HOME = "/home/agent";
/** Where our own files stand inside, read-only. */
export const SANDBOX_OWN = "/.gatehouse";
/** The authorities that a run trusts: the host's and the gate's own, as PEM and as a Java key store. */
export const CA_BUNDLE = "ca-bundle.pem";
export const JAVA_TRUST_STORE = "java-trust-store.jks";
export const SANDBOX_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Port of the gate inside the sandbox's own network namespace. */
export const SANDBOX_GATE_PORT = 3128;
/** User and group inside. */
export const SANDBOX_UID = 1000;
/** Parts of /proc through which the kernel is set; read-only in every sandbox, whoever the caller is. */
export const KERNEL_SWITCHES = ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi"].map(
  (name) => `/proc/${name}`,
);
/**
 * Parts of /proc that tell of the whole machine what only its root should know; hidden, for where root runs the daemon
 * a run may read them. `keys` and `key-users` tell of its user's keys, whoever that is.
 */
export const KERNEL_LISTINGS = [
  "key-users",
  "keys",
  "kpagecgroup",
  "kpagecount",
  "kpageflags",
  "latency_stats",
  "pagetypeinfo",
  "sched_debug",
  "slabinfo",
  "timer_list",
  "vmallocinfo",
].map((name) => `/proc/${name}`);
