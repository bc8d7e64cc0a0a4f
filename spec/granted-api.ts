import { readlink } from "node:fs/promises";
import {
  countInMemory,
  type FakeApi,
  findInFiles,
  listProcesses,
  openFakeApi,
  plantValue,
  type Respond,
  type World,
} from "@gatehouse/testbed";

/** An outside API, the credential that it wants, and a run's right to use it. */
export interface GrantedApi extends AsyncDisposable {
  readonly api: FakeApi;
  /** The planted credential. */
  readonly value: string;
  /** Name of the grant. */
  readonly grant: string;
  /** Path of a policy that allows the API's host and port on loopback. */
  readonly policy: string;
  /** `name:port`. */
  readonly host: string;
  /** Without a slash at its end. */
  readonly origin: string;
}

/** Opens an API at `api.example.test`, plants a value and seals it for exactly this host and port. */
export async function openGrantedApi(world: World, respond?: Respond): Promise<GrantedApi> {
  const value = plantValue();
  const expects = `Bearer ${value}`;
  const api = await openFakeApi({
    authority: world.authority,
    expects,
    ...(respond === undefined ? {} : { respond }),
  });
  const host = `api.example.test:${api.port}`;
  const grant = `api-${api.port}`;
  await world.addCredential(grant, { host, value });
  const policy = await world.allowServices(host);
  return {
    api,
    value,
    grant,
    policy,
    host,
    origin: `https://${host}`,
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

/** Where a run could keep a file: everything but what is the host's own and read-only. */
const WRITABLE_PLACES = ["tmp", "home", "root", "run", "var", "etc", ".gatehouse", "workspace"];

/**
 * Where a value is found in the sandboxes that run now: arguments, variables, readable memory, files of each sandbox's
 * own root but for its read-only `mounts`. Empty when it is nowhere. Throws when no sandbox runs, since nothing would
 * have been searched.
 */
export async function findInSandboxes(
  world: World,
  value: string,
  mounts: readonly string[] = [],
): Promise<readonly string[]> {
  const pids = await world.sandboxPids();
  if (pids.length === 0) throw new Error("no sandbox is running");
  const entries = (await listProcesses()).filter(({ pid }) => pids.includes(pid));
  const found: string[] = [];
  const searched = new Set<string>();
  for (const { pid, command, environment } of entries) {
    if (command.includes(value)) found.push(`arguments of ${pid}`);
    if (environment.some((variable) => variable.includes(value))) found.push(`variables of ${pid}`);
    if ((await countInMemory(pid, value).catch(() => 0)) > 0) found.push(`memory of ${pid}`);
    const root = `/proc/${pid}/root`;
    const mountNamespace = await readlink(`/proc/${pid}/ns/mnt`).catch(() => `that of ${pid}`);
    if (searched.has(mountNamespace)) continue;
    searched.add(mountNamespace);
    const except = mounts.map((path) => root + path);
    for (const place of WRITABLE_PLACES) {
      found.push(...(await findInFiles(`${root}/${place}`, value, { except }).catch(() => [])));
    }
  }
  return [...found, ...(await findInFiles(world.paths.workspace, value))];
}
