import { closeSync, constants, type Dir, type Dirent, fstatSync, opendirSync, openSync, readSync } from "node:fs";
import { join } from "node:path";

/** What a look at a workspace found, by its path inside. */
export interface TellingFiles {
  /** Files that are known to hold secrets. */
  readonly secrets: readonly string[];
  readonly sockets: readonly string[];
  /** Whether more lies there than was looked at. */
  readonly isPartial: boolean;
}

/** A run does not wait for more. */
const MAX_ENTRIES = 2_000;
const MAX_DEPTH = 5;
/** Of files whose name says too little, so many are opened. */
const MAX_OPENED = 32;
const MAX_READ_BYTES = 16_384;

/** Large, and nobody's own. */
const SKIPPED: ReadonlySet<string> = new Set([
  "node_modules",
  "bower_components",
  "vendor",
  "target",
  "dist",
  "__pycache__",
  ".venv",
  "venv",
  ".tox",
  ".cache",
]);
/** Of a repository's own folder nothing but its settings: a remote's URL may hold a token. */
const REPOSITORY = ".git";
const REPOSITORY_SETTINGS = /(?:^|\/)\.git\/config$/;

const TELLING =
  /^(?:\.env(?:\..+)?|\.envrc|\.npmrc|\.yarnrc\.yml|\.pypirc|\.netrc|_netrc|\.pgpass|\.my\.cnf|\.git-credentials|\.htpasswd|\.terraformrc|.*\.tfstate|id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ovpn)|kubeconfig|credentials\.json|application_default_credentials\.json|client_secret.*\.json|.*service[-_]?account.*\.json)$/;
/** Shown to show what the real one looks like. */
const EXAMPLE = /^\.env\.(?:example|sample|template|dist|defaults?)$/;
/** By the end of their path. */
const PLACED =
  /(?:^|\/)(?:\.ssh\/id_(?!.*\.pub$)[^/]+|\.aws\/credentials|\.docker\/config\.json|\.kube\/config|\.config\/gcloud\/[^/]+\.(?:json|db))$/;
/** A key of a service's account is JSON of any name. */
const JSON_NAME = /\.json$/;
const ACCOUNT_KEY =
  /"type"\s*:\s*"(?:service_account|external_account|authorized_user)"|"private_key"\s*:\s*"-----BEGIN/;
const REMOTE_WITH_PASSWORD = /^\s*(?:url|pushurl)\s*=\s*https?:\/\/[^/\s@]*:[^/\s@]+@/m;

interface Folder {
  /** Inside the workspace; empty: itself. */
  readonly path: string;
  readonly depth: number;
}

/** Looks through a workspace, folder by folder, the nearest first, as far as the bounds go. Follows no link. */
export function findTellingFiles(root: string): TellingFiles {
  const look = new Look(root);
  look.through();
  return look;
}

class Look implements TellingFiles {
  readonly secrets: string[] = [];
  readonly sockets: string[] = [];
  isPartial = false;
  readonly #root: string;
  readonly #waiting: Folder[] = [{ path: "", depth: 0 }];
  #seen = 0;
  #opened = 0;

  constructor(root: string) {
    this.#root = root;
  }

  through(): void {
    for (let folder = this.#waiting.shift(); folder !== undefined; folder = this.#waiting.shift()) {
      for (const entry of entriesOf(join(this.#root, folder.path), folder.path === "")) {
        this.#seen += 1;
        if (this.#seen > MAX_ENTRIES) {
          this.isPartial = true;
          return;
        }
        this.#note(entry, folder);
      }
    }
  }

  #note(entry: Dirent, { path: folder, depth }: Folder): void {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isSocket()) this.sockets.push(path);
    else if (entry.isDirectory()) this.#enter({ path, depth: depth + 1 }, entry.name);
    else if (this.#isTelling(entry.name, path)) this.secrets.push(path);
  }

  #enter(folder: Folder, name: string): void {
    const isOfRepository = folder.path.split("/").at(-2) === REPOSITORY;
    if (SKIPPED.has(name) || isOfRepository) return;
    if (folder.depth > MAX_DEPTH) this.isPartial = true;
    else this.#waiting.push(folder);
  }

  #isTelling(name: string, path: string): boolean {
    if ((TELLING.test(name) && !EXAMPLE.test(name)) || PLACED.test(path)) return true;
    if (JSON_NAME.test(name)) return this.#holds(path, ACCOUNT_KEY);
    return REPOSITORY_SETTINGS.test(path) && this.#holds(path, REMOTE_WITH_PASSWORD);
  }

  #holds(path: string, secret: RegExp): boolean {
    if (this.#opened >= MAX_OPENED) return false;
    this.#opened += 1;
    return secret.test(beginningOf(join(this.#root, path)));
  }
}

/** One at a time: a folder may hold a million. One that cannot be opened is not the run's to read either. */
function* entriesOf(path: string, isRoot: boolean): Generator<Dirent> {
  let folder: Dir;
  try {
    folder = opendirSync(path);
  } catch (failure) {
    if (isRoot) throw failure;
    return;
  }
  try {
    for (let entry = folder.readSync(); entry !== null; entry = folder.readSync()) yield entry;
  } finally {
    folder.closeSync();
  }
}

/** Never waits: what is a file now may be a pipe by the time that it is opened. */
const TO_LOOK = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

function beginningOf(path: string): string {
  let fd: number | undefined;
  try {
    fd = openSync(path, TO_LOOK);
    if (!fstatSync(fd).isFile()) return "";
    const buffer = Buffer.alloc(MAX_READ_BYTES);
    return buffer.toString("latin1", 0, readSync(fd, buffer, 0, MAX_READ_BYTES, 0));
  } catch {
    return "";
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
