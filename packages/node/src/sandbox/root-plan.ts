import { existsSync, lstatSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { CA_BUNDLE, JAVA_TRUST_STORE, SANDBOX_OWN, type SandboxSpec } from "./driver.ts";

/** One thing in a sandbox's root. The root is assembled from these alone: what is not named is not there. */
export type RootEntry =
  | { readonly kind: "read"; readonly from: string; readonly to: string }
  | { readonly kind: "write"; readonly from: string; readonly to: string }
  | { readonly kind: "link"; readonly target: string; readonly to: string }
  | { readonly kind: "empty"; readonly to: string };

const TOP_LEVEL = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

// Parts of /etc that programs need and that hold no secret. Not among them: shadow, ssl/private, npmrc, gitconfig.
const ETC = [
  "alternatives",
  "ca-certificates",
  "ca-certificates.conf",
  "debian_version",
  "fonts",
  "inputrc",
  "java-11-openjdk",
  "java-17-openjdk",
  "java-21-openjdk",
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "localtime",
  "magic",
  "mime.types",
  "os-release",
  "perl",
  "pki/tls/certs",
  "protocols",
  "python3",
  "python3.11",
  "services",
  "ssl/certs",
  "ssl/openssl.cnf",
  "terminfo",
  "timezone",
];

/** Made for each run, so that nothing of the host's users and names is seen. */
const SYNTHETIC = ["passwd", "group", "hosts", "nsswitch.conf", "resolv.conf"];

// Where programs look that are told of no bundle, or do not listen: GnuTLS reads no variable.
const SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt";

// Where administrators keep what is theirs; a daemon that runs as root could read it.
const HIDDEN = ["/usr/etc", "/usr/local/etc", "/usr/src", "/usr/share/polkit-1/rules.d"];

/** The root of a sandbox, in the order in which it is built. */
export function planRoot({ runDir, runtime, workspace, mounts }: SandboxSpec): readonly RootEntry[] {
  return [
    // First: a link in one of them, put there meanwhile, leads to nothing of ours yet.
    ...mounts.map(read),
    { kind: "write", from: workspace, to: workspace },
    read("/usr"),
    ...HIDDEN.filter((path) => existsSync(path)).map((to): RootEntry => ({ kind: "empty", to })),
    ...TOP_LEVEL.filter((path) => existsSync(path)).map(topLevel),
    ...ETC.map((name) => `/etc/${name}`)
      .filter((path) => existsSync(path))
      .map(read),
    ...SYNTHETIC.map((name): RootEntry => ({ kind: "read", from: join(runDir, name), to: `/etc/${name}` })),
    ...[SYSTEM_BUNDLE].filter(isFile).map((to): RootEntry => ({ kind: "read", from: join(runDir, CA_BUNDLE), to })),
    { kind: "read", from: join(runDir, JAVA_TRUST_STORE), to: `${SANDBOX_OWN}/${JAVA_TRUST_STORE}` },
    { kind: "read", from: join(runDir, CA_BUNDLE), to: `${SANDBOX_OWN}/${CA_BUNDLE}` },
    { kind: "read", from: runtime, to: `${SANDBOX_OWN}/${basename(runtime)}` },
  ];
}

function read(path: string): RootEntry {
  return { kind: "read", from: path, to: path };
}

/** Not a link: over one nothing can be mounted, and it may lead to what is not there inside. */
function isFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** Merged-/usr systems have links here, others directories. */
function topLevel(path: string): RootEntry {
  return lstatSync(path).isSymbolicLink() ? { kind: "link", target: readlinkSync(path), to: path } : read(path);
}
