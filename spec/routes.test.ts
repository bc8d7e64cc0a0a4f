import { createServer, type IncomingMessage, request } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { eventually, openFakeApi, startWorld, type World } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";

let world: World;
let port = 0;

beforeAll(async () => {
  world = await startWorld({ settings: { routes: { port: 0 } } });
});
afterAll(() => world[Symbol.asyncDispose]());

async function route(agent: string, services: object): Promise<void> {
  expect(await world.request("POST", `/v1/routes/${agent}`, { services })).toEqual({ status: 204, body: undefined });
  const { body } = await world.request("GET", "/v1/routes");
  port = (body as { port: number }).port;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** One request under a name, as a browser or another program on this host sends it. */
function ask(host: string, headers: Readonly<Record<string, string>> = {}, method = "GET"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path: "/a?b=c", method, headers: { host, ...headers } });
    sent.once("error", reject);
    sent.once("response", async (answer) => {
      let body = "";
      for await (const part of answer) body += part;
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body });
    });
    sent.end();
  });
}

test("an agent's services answer under its names, on loopback, until they are deleted", async () => {
  await using web = await openFakeApi();
  await using api = await openFakeApi();
  await route("coder", { web: `127.0.0.1:${web.port}`, api: `localhost:${api.port}` });
  const host = `web.coder.localhost:${port}`;
  const answer = await ask(host, { "x-forwarded-for": "6.6.6.6", connection: "keep-alive, x-hop", "x-hop": "1" });
  expect(answer.status).toBe(200);
  expect(web.requests[0]).toMatchObject({ method: "GET", url: "/a?b=c", headers: { host } });
  expect(web.requests[0]?.headers).not.toHaveProperty("x-forwarded-for");
  expect(web.requests[0]?.headers).not.toHaveProperty("x-hop");
  expect((await ask(`API.Coder.localhost:${port}`, {}, "POST")).status).toBe(200);
  expect(api.requests[0]?.method).toBe("POST");
  expect(web.requests).toHaveLength(1);

  const index = await ask(`localhost:${port}`);
  expect(index.body).toContain(`http://web.coder.localhost:${port}/`);
  expect(index.headers["content-security-policy"]).toContain("default-src 'none'");
  expect((await ask(`coder.localhost:${port}`)).body).toContain(`http://api.coder.localhost:${port}/`);

  expect((await world.request("DELETE", "/v1/routes/coder")).status).toBe(204);
  const gone = await ask(host);
  expect(gone.status).toBe(404);
  expect(gone.headers["content-type"]).toBe("application/problem+json");
  expect(JSON.parse(gone.body)).toMatchObject({ code: "routes.not_found", status: 404 });
  expect(web.requests).toHaveLength(1);
});

test("the only service of an agent needs no name; one that is not there is a 502, and routes outlive the daemon", async () => {
  const web = await openFakeApi();
  await route("single", { app: `127.0.0.1:${web.port}` });
  expect((await ask(`single.localhost:${port}`)).status).toBe(200);
  await world.daemon.kill();
  await world.daemon.start();
  port = ((await world.request("GET", "/v1/routes")).body as { port: number }).port;
  expect((await ask(`single.localhost:${port}`)).status).toBe(200);
  await web[Symbol.asyncDispose]();
  const dead = await ask(`single.localhost:${port}`);
  expect(dead.status).toBe(502);
  expect(JSON.parse(dead.body)).toMatchObject({ code: "routes.unreachable" });
});

test("other names that lead to this host are not served, and pages of other sites get no request through", async () => {
  await using web = await openFakeApi();
  await using other = await openFakeApi();
  await route("victim", { app: `127.0.0.1:${web.port}` });
  await route("attacker", { app: `127.0.0.1:${other.port}` });
  const host = `app.victim.localhost:${port}`;
  for (const foreign of [
    "evil.test",
    `evil.test:${port}`,
    `app.victim.localhost.evil.test:${port}`,
    "app.victim.localhost:1",
    `a.b.victim.localhost:${port}`,
  ]) {
    expect((await ask(foreign)).status, foreign).toBe(404);
  }
  const page = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" };
  const refused: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
    [page, "GET"],
    [page, "POST"],
    [{ ...page, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" }, "GET"],
    [{ ...page, "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" }, "GET"],
    [{ ...page, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" }, "POST"],
    [{ origin: "https://evil.test" }, "POST"],
    [{ origin: "null" }, "POST"],
    [{ origin: `http://app.attacker.localhost:${port}` }, "POST"],
    [{ origin: `http://localhost:${port}` }, "POST"],
  ];
  for (const [headers, method] of refused) {
    const answer = await ask(host, headers, method);
    expect(answer.status, JSON.stringify([headers, method])).toBe(403);
    expect(JSON.parse(answer.body)).toMatchObject({ code: "routes.cross_site" });
  }
  expect(web.requests).toEqual([]);
  const link = { ...page, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
  expect((await ask(host, link)).status).toBe(200);
  expect(
    (await ask(host, { origin: `http://app.victim.localhost:${port}`, "sec-fetch-site": "same-origin" }, "POST"))
      .status,
  ).toBe(200);
});

test("a WebSocket is passed through, and a foreign page's is refused", async () => {
  const service = createServer();
  let upgrades = 0;
  service.on("upgrade", (message, socket) => {
    upgrades += 1;
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${message.headers.upgrade}\r\nConnection: Upgrade\r\n\r\n`,
    );
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
  await route("talker", { app: `127.0.0.1:${(service.address() as AddressInfo).port}` });
  const host = `app.talker.localhost:${port}`;
  const open = (origin: string) => {
    const socket = connect(port, "127.0.0.1");
    const seen = { text: "", socket };
    socket.on("data", (part: Buffer) => (seen.text += part.toString()));
    socket.write(
      `GET /ws HTTP/1.1\r\nHost: ${host}\r\nOrigin: ${origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    );
    return seen;
  };
  const foreign = open("https://evil.test");
  await eventually("the refusal", () => foreign.text.includes("routes.cross_site"));
  expect(upgrades).toBe(0);
  const own = open(`http://${host}`);
  await eventually("the switch", () => own.text.startsWith("HTTP/1.1 101 "));
  own.socket.write("hello there");
  await eventually("the echo", () => own.text.endsWith("hello there"));
  own.socket.destroy();
  foreign.socket.destroy();
  service.closeAllConnections();
  service.close();
});

test("a service that does not switch answers once, and hears nothing of what the client sends behind it", async () => {
  const heard: string[] = [];
  const service = createServer((message, answer) => {
    heard.push(message.url ?? "");
    answer.end("no WebSocket here");
  });
  await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
  await route("mute", { app: `127.0.0.1:${(service.address() as AddressInfo).port}` });
  const host = `app.mute.localhost:${port}`;
  const ask = async (head: readonly string[]) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.on("data", (part: Buffer) => (text += part.toString()));
    socket.on("error", () => undefined);
    socket.write([...head, `Host: ${host}`, "Connection: Upgrade", "Upgrade: websocket", "", ""].join("\r\n"));
    // Not what the routes would let through: it names another place, and comes from a foreign page.
    socket.write("POST /behind HTTP/1.1\r\nHost: evil.test\r\nOrigin: https://evil.test\r\n\r\n");
    await eventually("the end", () => socket.closed);
    return text;
  };
  const answer = await ask(["GET /ws HTTP/1.1"]);
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  expect(answer.toLowerCase()).toContain("\r\nconnection: close\r\n");
  expect(answer).toContain("no WebSocket here");
  expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1);
  expect(heard).toEqual(["/ws"]);
  // Where a request to switch has a body, it is in doubt what would follow.
  for (const head of [["POST /ws HTTP/1.1"], ["GET /ws HTTP/1.1", "Content-Length: 4"]]) {
    expect(await ask(head)).toMatch(/^HTTP\/1\.1 404 /);
  }
  expect(heard).toEqual(["/ws"]);
  service.closeAllConnections();
  service.close();
});

test("routes lead to loopback ports alone, and never to Gatehouse itself", async () => {
  const { body } = await world.request("GET", "/v1/health");
  const { proxy_port } = body as { proxy_port: number };
  await route("there", { app: "127.0.0.1:9" });
  const bad: readonly (readonly [string, unknown])[] = [
    ["bad", { services: { app: "10.0.0.1:80" } }],
    ["bad", { services: { app: "169.254.169.254:80" } }],
    ["bad", { services: { app: "api.example.test:80" } }],
    ["bad", { services: { app: "0.0.0.0:80" } }],
    ["bad", { services: { app: `127.0.0.1:${proxy_port}` } }],
    ["bad", { services: { app: `localhost:${port}` } }],
    ["bad", { services: { app: "127.0.0.1" } }],
    ["bad", { services: { "a.b": "127.0.0.1:1" } }],
    ["bad", { services: {} }],
    ["bad", {}],
    ["-bad", { services: { app: "127.0.0.1:1" } }],
  ];
  for (const [agent, sent] of bad) {
    expect((await world.request("POST", `/v1/routes/${agent}`, sent)).status, JSON.stringify(sent)).toBe(400);
  }
  expect((await world.request("PUT", "/v1/routes/there")).status).toBe(405);
  expect(JSON.stringify((await world.request("GET", "/v1/routes")).body)).not.toContain("bad");
});
