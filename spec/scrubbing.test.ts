import { setImmediate as nextTurn } from "node:timers/promises";
import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import { openFakeApi, plantValue, type Respond, SANDBOX_NODE, startWorld, type World } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openGrantedApi } from "./granted-api.ts";
import { get, startRawClient } from "./raw-proxy-client.ts";

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

/** Lets the service answer with the value it was sent, and returns all that curl saw of it. */
async function curlEcho(respond: Respond) {
  const granted = await openGrantedApi(world, respond);
  await using _owned = granted;
  const { grant, policy, origin, value } = granted;
  const { code, stdout, stderr } = await world.run(["curl", "-sS", "-i", origin], { grants: [grant], policy });
  expect(code, stderr).toBe(0);
  expect(granted.api.requests).toHaveLength(1);
  return { stdout, value };
}

const sentValue = (headers: Readonly<Record<string, string>>) => (headers.authorization ?? "").slice("Bearer ".length);

test("a value in the head of an answer is overwritten by as many other characters", async () => {
  const { stdout, value } = await curlEcho(({ headers }, response) => {
    response.writeHead(200, { "x-echo": `<${sentValue(headers)}>`, "content-length": 2 }).end("ok");
    return true;
  });
  expect(stdout).not.toContain(value);
  expect(stdout).toMatch(new RegExp(`x-echo: <.{${value.length}}>`, "i"));
  expect(stdout.endsWith("ok")).toBe(true);
});

test("a value in a text body is overwritten, and its framing stands", async () => {
  const { stdout, value } = await curlEcho(({ headers }, response) => {
    const body = JSON.stringify({ before: 1, token: sentValue(headers), after: 2 });
    response.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body);
    return true;
  });
  expect(stdout).not.toContain(value);
  const { before, token, after } = JSON.parse(stdout.slice(stdout.indexOf("{")));
  expect([before, after, token.length]).toEqual([1, 2, value.length]);
});

test("a value that is split across chunks, at every place, is overwritten", async () => {
  const { stdout, value } = await curlEcho(({ headers }, response) => {
    const text = sentValue(headers);
    const write = async () => {
      response.writeHead(200, { "content-type": "text/plain" });
      for (let at = 1; at < text.length; at += 7) {
        for (const part of ["[", text.slice(0, at), text.slice(at), "]"]) {
          response.write(part);
          // Each part leaves as a segment of its own.
          await nextTurn();
        }
      }
      response.end("end");
    };
    write().catch(() => response.destroy());
    return true;
  });
  expect(stdout).not.toContain(value);
  expect(stdout).not.toContain(value.slice(-16));
  expect(stdout.endsWith("]end")).toBe(true);
});

test.each(["gzip", "br", "zstd"] as const)("a value in a body that came in %s is overwritten", async (coding) => {
  const encode = { gzip: gzipSync, br: brotliCompressSync, zstd: zstdCompressSync }[coding];
  const respond: Respond = ({ headers }, response) => {
    const accepted = String(headers["accept-encoding"]).split(/, */);
    const text = JSON.stringify({ token: sentValue(headers), accepted });
    const body = accepted.includes(coding) ? encode(text) : Buffer.from(text);
    response.writeHead(200, {
      "content-type": "application/json",
      ...(accepted.includes(coding) ? { "content-encoding": coding } : {}),
      "content-length": body.length,
    });
    response.end(body);
    return true;
  };
  await using granted = await openGrantedApi(world, respond);
  const { grant, policy, origin, value } = granted;
  const program = `fetch(process.argv[1], { headers: { "accept-encoding": "${coding}, deflate" } })
    .then(async (answer) => console.log(answer.headers.get("content-encoding"), await answer.text()))`;
  const { stdout, stderr } = await world.run([SANDBOX_NODE, "-e", program, origin], { grants: [grant], policy });
  expect(stderr).toBe("");
  expect(stdout).toMatch(new RegExp(`^${coding} {`));
  expect(stdout).not.toContain(value);
  const { token, accepted } = JSON.parse(stdout.slice(stdout.indexOf("{")));
  expect([token.length, accepted]).toEqual([value.length, [coding]]);
});

test("a value that comes back in base64 is overwritten too", async () => {
  const { stdout, value } = await curlEcho(({ headers }, response) => {
    const body = btoa(sentValue(headers));
    response.writeHead(200, { "content-type": "text/plain", "content-length": body.length }).end(body);
    return true;
  });
  expect(stdout).not.toContain(btoa(value));
});

test("a value that was revoked is overwritten still when the service shows it", async () => {
  let known = "";
  const respond: Respond = ({ headers }, response) => {
    known ||= sentValue(headers);
    const body = JSON.stringify({ authorized: headers.authorization !== undefined, known });
    response.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body);
    return true;
  };
  await using api = await openFakeApi({ authority: world.authority, respond });
  const host = `api.example.test:${api.port}`;
  const value = plantValue();
  await world.addCredential("shown", { host, value });
  const policy = await world.allowServices(host);
  await using client = await startRawClient(world, { grants: ["shown"], policy });
  const ask = async () => {
    await client.step({ connect: host });
    await client.step({ tls: true, sni: "api.example.test" });
    const { body = "{}" } = await client.step({ send: get(host) });
    return JSON.parse(body) as { readonly authorized: boolean; readonly known: string };
  };
  expect((await ask()).authorized).toBe(true);
  expect((await world.cli(["revoke", "shown"])).code).toBe(0);
  const after = await ask();
  expect(known).toBe(value);
  expect(after.authorized).toBe(false);
  expect(after.known).toHaveLength(value.length);
  expect(after.known).not.toBe(value);
});
