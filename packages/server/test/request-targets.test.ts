import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:tls";
import { openFakeIdentityProvider } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { DATABASES } from "./databases.ts";
import { FleetUnderTest } from "./fleet-under-test.ts";
import { oidcOf } from "./oidc-under-test.ts";

const TARGETS = ["//", "///", "//[", "/\\\\", "*", "//[/sign-in", "https://[", "/%00", "/%zz?%"];

test("whatever stands where a path should is answered, and the server stays up", async () => {
  await using database = await DATABASES[0].open();
  await using provider = await openFakeIdentityProvider();
  await using fleet = await FleetUnderTest.open(database.location, { oidc: oidcOf(provider) });
  const { port, url } = fleet.server;
  for (const target of TARGETS) {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] });
    socket.end(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const [head] = (await once(socket, "data")) as [Buffer];
    expect(head.toString("latin1"), target).toMatch(/^HTTP\/1\.1 4\d\d /);
    socket.destroy();
  }
  const session = connectHttp2(url, { rejectUnauthorized: false });
  // HTTP/2 itself ends a stream whose path is none.
  for (const target of TARGETS.filter((one) => one.startsWith("/"))) {
    const stream = session.request({ ":path": target });
    const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
    expect(headers[":status"], target).toBe(404);
    stream.close();
  }
  session.close();
  expect(fleet.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
});
