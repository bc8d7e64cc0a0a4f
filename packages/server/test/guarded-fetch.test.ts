import { createServer } from "node:https";
import { createGuardedFetch } from "@gatehouse/kit";
import { createTestAuthority, type LoopbackServer, listenOnLoopback, type TestAuthority } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";

let authority: TestAuthority;
let server: LoopbackServer;
const asked: string[] = [];

beforeAll(async () => {
  authority = await createTestAuthority();
  const own = createServer(authority.serverOptions, (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (request.url === "/redirect") response.writeHead(302, { location: "/secret" }).end();
    else if (request.url === "/long") response.end(Buffer.alloc(2 * 1_048_576));
    else request.pipe(response);
  });
  server = await listenOnLoopback(own);
});

afterAll(() => server[Symbol.asyncDispose]());

const fetchIn = (...addressRanges: string[]) =>
  createGuardedFetch({ addressRanges, authoritiesPem: authority.certificatePem });
const url = (host: string, path = "/") => `https://${host}:${server.port}${path}`;

test("a stated range is asked, by name and by address, and a redirect is an answer", async () => {
  const fetch = fetchIn("127.0.0.0/8", "::1");
  const answer = await fetch(url("127.0.0.1", "/echo"), { method: "POST", body: "a=b" });
  expect(await answer.text()).toBe("a=b");
  expect((await fetch(url("127.0.0.1", "/redirect"))).status).toBe(302);
  expect(asked).not.toContain("GET /secret");
  await expect(fetch(url("127.0.0.1", "/long"))).rejects.toMatchObject({ code: "url.unreachable" });
});

test.each(["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]"])(
  "%s is refused where nobody stated it, and no connection is made",
  async (host) => {
    const before = server.connections;
    await expect(fetchIn()(url(host))).rejects.toMatchObject({ code: "url.forbidden" });
    await expect(fetchIn("10.0.0.0/8")(url(host))).rejects.toMatchObject({ code: "url.forbidden" });
    expect(server.connections).toBe(before);
  },
);

test.each([
  "http://127.0.0.1/",
  "https://user:pass@127.0.0.1/",
  "file:///etc/passwd",
  "not a url",
  "https://169.254.169.254/latest/meta-data/",
  "https://[fe80::1]/",
  "https://0.0.0.0/",
])("%s is refused whatever was stated", async (text) => {
  await expect(fetchIn("0.0.0.0/0", "::/0")(text)).rejects.toMatchObject({ code: "url.forbidden" });
});

test("a server that no trusted authority vouches for is sent nothing", async () => {
  const before = asked.length;
  const fetch = createGuardedFetch({ addressRanges: ["127.0.0.0/8"] });
  await expect(fetch(url("127.0.0.1"))).rejects.toMatchObject({ code: "url.unreachable" });
  expect(asked).toHaveLength(before);
});
