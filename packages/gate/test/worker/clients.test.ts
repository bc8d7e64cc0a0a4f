import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request as connectRequest } from "node:http";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { openFakeApi, runProcess } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { allowing, injection, openGate, outside } from "./gate-under-test.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gate-clients-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A service that wants a credential, and a gate that has it. */
async function openGranted() {
  const api = await openFakeApi({ authority: outside, expects: "Bearer real" });
  const gate = await openGate();
  const host = `api.test:${api.port}`;
  const token = await gate.put({ policy: allowing(host), injections: [injection(host, "Bearer real")] });
  const caFile = join(folder, "ca.pem");
  await writeFile(caFile, gate.interceptionCa);
  return {
    api,
    gate,
    host,
    token,
    caFile,
    proxy: (secret: string) => `http://run:${secret}@127.0.0.1:${gate.port}`,
    [Symbol.asyncDispose]: async () => {
      await gate[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
    },
  };
}

/** Runs curl; credentials of the proxy stand in a file, as they do in no argument of the product. */
function curl(args: readonly string[], environment: Readonly<Record<string, string>>) {
  return runProcess("curl", ["-sS", "--max-time", "10", ...args], {
    env: { PATH: process.env.PATH ?? "", ...environment },
  });
}

test("curl, unmodified, gets in with the credential it does not have", async () => {
  await using one = await openGranted();
  const environment = { HTTPS_PROXY: one.proxy(one.token), CURL_CA_BUNDLE: one.caFile };
  const { code, stdout, stderr } = await curl([`https://${one.host}/a`, `https://${one.host}/b`], environment);
  expect(code, stderr).toBe(0);
  expect(stdout).toContain('"url":"/a"');
  expect(one.api.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
    ["/a", "Bearer real"],
    ["/b", "Bearer real"],
  ]);
  expect(one.api.connections).toBe(1);
});

test("curl answers the challenge on the connection that it has, and uploads with Expect", async () => {
  await using one = await openGranted();
  const body = join(folder, "body");
  await writeFile(body, "x".repeat(2_000_000));
  const args = [
    "-T",
    body,
    "-H",
    "Expect: 100-continue",
    "--proxy-anyauth",
    "-w",
    "%{num_connects}",
    "-o",
    "/dev/null",
  ];
  const environment = { HTTPS_PROXY: one.proxy(one.token), CURL_CA_BUNDLE: one.caFile };
  const { code, stdout, stderr } = await curl([...args, `https://${one.host}/up`], environment);
  expect(code, stderr).toBe(0);
  expect(stdout).toBe("1");
  expect(one.api.requests.map(({ body: sent }) => sent.length)).toEqual([2_000_000]);
});

test("curl that speaks HTTP/1.0 alone, in TLS too, is served", async () => {
  await using one = await openGranted();
  const environment = { HTTPS_PROXY: one.proxy(one.token), CURL_CA_BUNDLE: one.caFile };
  const { code, stdout, stderr } = await curl(["--http1.0", `https://${one.host}/old`], environment);
  expect(code, stderr).toBe(0);
  expect(stdout).toContain('"url":"/old"');
  expect(one.api.requests[0]?.headers.authorization).toBe("Bearer real");
});

test("curl without a token, or with a wrong one, shows 407 and reaches nobody", async () => {
  await using one = await openGranted();
  for (const proxy of [`http://127.0.0.1:${one.gate.port}`, one.proxy("ab".repeat(32))]) {
    const { code, stderr } = await curl([`https://${one.host}/`], { HTTPS_PROXY: proxy, CURL_CA_BUNDLE: one.caFile });
    expect(code).toBe(56);
    expect(stderr).toContain("407");
  }
  expect(one.api.connections).toBe(0);
});

test("curl shows what a refusal says, with compression and ranges asked for", async () => {
  await using one = await openGranted();
  const environment = { HTTPS_PROXY: one.proxy(one.token), CURL_CA_BUNDLE: one.caFile };
  const allowed = await curl(["--compressed", "-r", "0-1", `https://${one.host}/`], environment);
  expect(allowed.stdout).toMatch(/"accept-encoding":"gzip(?:, br)?(?:, zstd)?"/);
  const denied = await curl(["--connect-to", "::127.0.0.1", "https://denied.test/"], environment);
  expect(denied.code).toBe(56);
  expect(denied.stderr).toContain("403");
});

/** Opens tunnels by hand, as proxy agents of Node programs do. */
class TunnelAgent extends Agent {
  readonly #options: { readonly port: number; readonly token: string; readonly ca: string };

  constructor(options: { readonly port: number; readonly token: string; readonly ca: string }) {
    super({ keepAlive: true, maxSockets: 4 });
    this.#options = options;
  }

  override createConnection(
    options: { readonly host?: string; readonly port?: number | string },
    callback: (failure: Error | null, stream: Duplex) => void,
  ): undefined {
    const { port, token, ca } = this.#options;
    const authority = `${options.host}:${options.port}`;
    const headers = { host: authority, "proxy-authorization": `Basic ${btoa(`run:${token}`)}` };
    const asked = connectRequest({ port, host: "127.0.0.1", method: "CONNECT", path: authority, headers });
    asked.once("connect", (_response, socket) => {
      const stream = connectTls({ socket, servername: options.host ?? "", ca });
      stream.once("secureConnect", () => callback(null, stream));
    });
    asked.end();
    return undefined;
  }
}

test("many requests of a Node agent in parallel each get their own answer", async () => {
  await using one = await openGranted();
  const agent = new TunnelAgent({ port: one.gate.port, token: one.token, ca: one.gate.interceptionCa });
  const ask = (index: number) =>
    new Promise<string>((resolve, reject) => {
      const asked = request(`https://${one.host}/${index}`, { agent, method: "POST" }, (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("end", () => resolve(Buffer.concat(parts).toString()));
      });
      asked.once("error", reject);
      asked.end(`body ${index}`);
    });
  const askInTurn = async (lane: number) => {
    for (let index = lane; index < 100; index += 4) {
      expect(JSON.parse(await ask(index))).toMatchObject({ url: `/${index}`, body: `body ${index}` });
    }
  };
  await Promise.all([0, 1, 2, 3].map(askInTurn));
  expect(one.api.connections).toBeLessThanOrEqual(4);
  agent.destroy();
});
