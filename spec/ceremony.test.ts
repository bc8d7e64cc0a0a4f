// What a new user does, word for word: every command here is one that scripts may rely on.
import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import {
  createTestAuthority,
  eventually,
  type FakeApi,
  findInFiles,
  MachineNetwork,
  type NetworkMachine,
  openFakeApi,
  openPostgres,
  plantValue,
  type RunningCommand,
} from "@gatehouse/testbed";
import { describe, expect, test } from "vitest";

const CEREMONY_MS = 180_000;
const DATABASES = [
  { name: "the embedded database", open: async () => undefined },
  { name: "PostgreSQL", open: () => openPostgres() },
] as const;

describe.each(DATABASES)("on $name", ({ open }) => {
  test("server, operator and two hosts on four networks: enrolled, compared, confirmed, granted, run, revoked", {
    timeout: CEREMONY_MS,
  }, async () => {
    await using database = await open();
    await using site = await openSite();
    const { server, operator, n1, n2, api } = site;

    // The server, on a machine of its own.
    const databaseFlag = database === undefined ? "" : " --database-url-file database-url";
    if (database !== undefined) await writePrivate(server.path("database-url"), database.url());
    const serving = type(server, `gatehouse server --state-dir S --listen ${server.address}:0${databaseFlag} --json`);
    const { url, ...ready } = JSON.parse(await serving.line("the server's ready line", isJson));
    expect(ready).toMatchObject({ ready: true, pid: serving.pid });
    expect(url).toMatch(new RegExp(`^https://${server.address}:\\d+$`));

    // The set-up code is carried to the operator's machine, which makes the organisation and its key.
    await copyFile(server.path("S", "setup-code"), operator.path("setup-code"));
    const init = `gatehouse org init --server ${url} --setup-code-file setup-code --org acme --owner ada --state-dir O --json`;
    expect(await say(operator, init)).toEqual({
      org_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      owner: "ada",
      org_key: expect.stringMatching(/^[\w-]{43}$/),
      server_key: expect.stringMatching(/^[\w-]{43}$/),
    });

    // Two hosts: one by a code for its name alone, one by a code for any.
    await enroll(site, { host: n1, name: "n1", options: "--name n1 --ttl 10m --out n1.code" });
    await enroll(site, { host: n2, name: "n2", options: "--out n2.code" });
    await join(n1, operator, "n1");
    await join(n2, operator, "n2");
    const listed = await say(operator, "gatehouse nodes ls --state-dir O --json");
    expect(listed).toHaveLength(2);
    for (const [index, name] of ["n1", "n2"].entries()) {
      expect(listed[index]).toMatchObject({
        id: expect.any(String),
        name,
        state: "confirmed",
        liveness: "online",
        generation: expect.any(Number),
        last_seen: expect.any(String),
      });
    }

    // Credentials, sealed where the operator is.
    await writePrivate(operator.path("github-token"), `ghp_${"0aZ9".repeat(9)}`);
    await writePrivate(operator.path("api-token"), site.value);
    await say(
      operator,
      "gatehouse credentials add gh --service github --nodes n1 --value-file github-token --state-dir O --json",
    );
    const place = `--host ${site.apiPlace} --header Authorization --format 'Bearer {value}'`;
    await say(
      operator,
      `gatehouse credentials add api ${place} --nodes n1 --value-file api-token --state-dir O --json`,
    );

    // A run on the host, from the operator's machine. It uses what it never sees.
    const curl = `curl --silent --show-error --write-out '%{http_code}' https://${site.apiPlace}/`;
    const ran = await eventually("what was sealed is served at the host", async () => {
      const done = await call(operator, `gatehouse run --node n1 --grant api --state-dir O -- ${curl}`);
      return done.code === 0 ? done : undefined;
    });
    expect(ran.stdout).toMatch(/200$/);
    expect(api.requests.at(-1)?.headers.authorization).toBe(`Bearer ${site.value}`);
    expect(`${ran.stdout}${ran.stderr}`).not.toContain(site.value);
    const detached = await say(
      operator,
      "gatehouse run --node n1 --grant gh --state-dir O --detach --json -- sh -c 'echo begun; exec sleep 300'",
    );
    expect(detached).toEqual({ run_id: expect.any(String), node: "n1" });
    const runId = detached.run_id as string;
    const following = type(operator, `gatehouse logs ${runId} -f --state-dir O`);
    await following.line("what the run said", (line) => line === "begun");
    await eventually("the run is listed as running", async () => {
      const runs = await say(operator, "gatehouse ls --state-dir O --json");
      return runs.some(
        (run: Record<string, unknown>) => run["run_id"] === runId && run["node"] === "n1" && run["state"] === "running",
      );
    });
    expect(await say(operator, `gatehouse stop ${runId} --state-dir O --json`)).toEqual({ stopped: [runId] });
    await following.finished;

    // Taken back: the credential, then the host.
    expect(await say(operator, "gatehouse revoke api --state-dir O --json")).toEqual({ revoked: ["api"] });
    const asked = api.requests.length;
    const refused = await call(operator, `gatehouse run --node n1 --grant api --state-dir O -- ${curl}`);
    expect(refused.code).toBe(125);
    await say(operator, "gatehouse nodes revoke n1 --state-dir O --json");
    expect(await say(operator, "gatehouse nodes ls --state-dir O --json")).toMatchObject([{ name: "n2" }]);
    expect((await call(operator, "gatehouse run --node n1 --state-dir O -- true")).code).not.toBe(0);
    expect((await call(n1, "gatehouse node refresh --state-dir N")).code).toBe(4);
    expect(api.requests).toHaveLength(asked);
    expect((await call(operator, "gatehouse run --node n2 --state-dir O -- sh -c 'exit 7'")).code).toBe(7);

    // A host that was lost gives its name to a new one.
    await say(operator, "gatehouse nodes replace n2 --out n2.code --state-dir O --json");
    const lost = (await say(operator, "gatehouse nodes ls --state-dir O --json"))[0].id;
    await enroll(site, { host: await site.add("n3"), name: "n2" });
    expect(await say(operator, "gatehouse nodes ls --state-dir O --json")).toMatchObject([{ name: "n2" }]);
    expect((await say(operator, "gatehouse nodes ls --state-dir O --json"))[0].id).not.toBe(lost);

    // Everything is on record, and anyone can verify it.
    await say(operator, "gatehouse audit export --out acme.jsonl --state-dir O --json");
    expect(await say(operator, "gatehouse audit verify acme.jsonl --json")).toMatchObject({
      ok: true,
      trust: "unpinned",
    });
    for (const machine of [server, operator, n1, n2]) {
      const found = await findInFiles(machine.directory, site.value);
      expect(found).toEqual(machine === operator ? [operator.path("api-token")] : []);
    }
    expect(`${serving.stdout}${serving.stderr}`).not.toContain(site.value);
  });
});

interface Site extends AsyncDisposable {
  readonly server: NetworkMachine;
  readonly operator: NetworkMachine;
  readonly n1: NetworkMachine;
  readonly n2: NetworkMachine;
  /** An outside service, and the one value that it lets in. */
  readonly api: FakeApi;
  readonly apiPlace: string;
  readonly value: string;
  readonly add: (name: string) => Promise<NetworkMachine>;
}

/** Five machines; the hosts trust the authority of the outside service, as they would a public one. */
async function openSite(): Promise<Site> {
  const stack = new AsyncDisposableStack();
  try {
    const network = stack.use(await MachineNetwork.open());
    const outside = await network.add("outside");
    const authority = await createTestAuthority(outside.address);
    const value = plantValue();
    const at = await outside.listen();
    const api = stack.use(await openFakeApi({ authority, expects: `Bearer ${value}`, at }));
    const add = async (name: string) => {
      const machine = await network.add(name);
      await writeFile(machine.path("ca.pem"), authority.certificatePem);
      await mkdir(machine.path("config", "gatehouse"));
      const gate = { engines: [], workers: 1, upstreamCa: machine.path("ca.pem") };
      await writeFile(machine.path("config", "gatehouse", "config.yaml"), JSON.stringify({ gate }));
      return machine;
    };
    const [server, operator] = [await network.add("server"), await network.add("operator")];
    const [n1, n2] = [await add("n1"), await add("n2")];
    const facts = { server, operator, n1, n2, api, apiPlace: `${outside.address}:${at.port}`, value, add };
    return { ...facts, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (failure) {
    await stack.disposeAsync();
    throw failure;
  }
}

interface Enrolled {
  readonly host: NetworkMachine;
  readonly name: string;
  /** Of the command that makes the code; absent: the code is there. */
  readonly options?: string;
}

/** A code, a claim, a fingerprint that a person compares: a wrong one confirms nothing. */
async function enroll({ operator }: Site, { host, name, options }: Enrolled): Promise<void> {
  if (options !== undefined) {
    expect(await say(operator, `gatehouse nodes enroll-code ${options} --state-dir O --json`)).toEqual({
      code: expect.stringMatching(/^ghe_[\w-]{43}\.[\w-]{22}$/),
      expires_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      enrollment_id: expect.any(String),
    });
  }
  await copyFile(operator.path(`${name}.code`), host.path("code"));
  const { server: url } = await say(operator, "gatehouse org pin --state-dir O --json");
  const claim = type(
    host,
    `gatehouse node enroll --state-dir N --server ${url} --code-file code --name ${name} --json`,
  );
  const { fingerprint, ...waiting } = JSON.parse(await claim.line("the fingerprint", isJson));
  expect(waiting).toEqual({ state: "awaiting_confirmation", node_id: expect.any(String) });
  const confirm = `gatehouse nodes confirm ${name} --state-dir O --json --fingerprint`;
  expect((await call(operator, `${confirm} 00000-00000-00000-00000`)).code).toBe(4);
  expect(await say(operator, `${confirm} ${fingerprint}`)).toMatchObject({ name, state: "confirmed" });
  const { code, stdout } = await claim.finished;
  expect({ code, last: stdout.trim().split("\n").at(-1) }).toEqual({ code: 0, last: '{"state":"confirmed"}' });
}

/** Starts the daemon of a host, and waits until the operator sees it. */
async function join(host: NetworkMachine, operator: NetworkMachine, name: string): Promise<void> {
  const daemon = type(host, "gatehouse node run --state-dir N --json");
  expect(JSON.parse(await daemon.line("the node's ready line", isJson))).toMatchObject({ ready: true });
  await eventually(`${name} is online`, async () => {
    const nodes = await say(operator, "gatehouse nodes ls --state-dir O --json");
    return nodes.some((node: Record<string, unknown>) => node["name"] === name && node["liveness"] === "online");
  });
  expect(await say(host, "gatehouse node status --state-dir N --json")).toMatchObject({ state: "enrolled" });
}

/** Types a command that stays. */
function type(machine: NetworkMachine, command: string): RunningCommand {
  return machine.startOther(["sh", "-c", `exec ${command}`]);
}

function call(machine: NetworkMachine, command: string) {
  return machine.runOther(["sh", "-c", command]);
}

/** Types a command that must succeed, and reads the JSON that it printed. */
async function say(machine: NetworkMachine, command: string) {
  const { code, stdout, stderr } = await call(machine, command);
  if (code !== 0) throw new Error(`${command}: exit ${code}\n${stdout}${stderr}`);
  return JSON.parse(stdout);
}

async function writePrivate(path: string, text: string): Promise<void> {
  await writeFile(path, text);
  await chmod(path, 0o600);
}

function isJson(line: string): boolean {
  return line.startsWith("{");
}
