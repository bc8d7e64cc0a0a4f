import { describe, expect, test } from "vitest";
import type { RequestHead } from "../../src/http1/messages.ts";
import { RequestHeadReader } from "../../src/http1/request-head-reader.ts";

function read(fields: string, version = "1.1"): RequestHead {
  const text = `GET / HTTP/${version}\r\nHost: example.com\r\n${fields}\r\n`;
  const result = new RequestHeadReader().push(Buffer.from(text, "latin1"));
  if (result.kind !== "head") throw new Error(`no head: ${result.kind}`);
  return result.head;
}

describe("what a request says about its connection", () => {
  test.each([
    ["", "1.1", true],
    ["Connection: close\r\n", "1.1", false],
    ["Connection: x, CLOSE\r\n", "1.1", false],
    ["Connection: keep-alive\r\nConnection: close\r\n", "1.1", false],
    ["", "1.0", false],
    ["Connection: keep-alive\r\n", "1.0", true],
  ])("%j in HTTP/%s: goes on = %s", (fields, version, expected) => {
    expect(read(fields, version).isPersistent).toBe(expected);
  });

  test("an upgrade needs its connection option, and HTTP/1.1", () => {
    const upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    expect(read(upgrade).upgrade).toBe("websocket");
    expect(read("Upgrade: websocket\r\n").upgrade).toBeUndefined();
    expect(read(upgrade, "1.0").upgrade).toBeUndefined();
    expect(read(`${upgrade}Upgrade: h2c\r\n`).upgrade).toBeUndefined();
  });

  test("only an HTTP/1.1 client waits for a 100", () => {
    expect(read("Expect: 100-continue\r\n").expectsContinue).toBe(true);
    expect(read("Expect: 100-continue\r\n", "1.0").expectsContinue).toBe(false);
    expect(read("").expectsContinue).toBe(false);
  });
});

describe("a reader of heads", () => {
  const HEAD = Buffer.from("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");

  test("says whether a byte of the next message was seen", () => {
    const reader = new RequestHeadReader();
    expect(reader.isEmpty).toBe(true);
    expect(reader.push(HEAD.subarray(0, 1)).kind).toBe("more");
    expect(reader.isEmpty).toBe(false);
    expect(reader.push(HEAD.subarray(1)).kind).toBe("head");
    expect(reader.isEmpty).toBe(true);
  });

  test("reads nothing after a refusal until it is reset", () => {
    const reader = new RequestHeadReader();
    expect(reader.push(Buffer.from("GET /\n")).kind).toBe("refused");
    expect(reader.push(HEAD)).toEqual({ kind: "refused", why: "bare line feed" });
    reader.reset();
    expect(reader.push(HEAD).kind).toBe("head");
  });

  test("refuses a malformed Host behind a good one", () => {
    const reader = new RequestHeadReader();
    expect(reader.push(HEAD).kind).toBe("head");
    expect(reader.push(Buffer.from("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"))).toMatchObject({ why: "malformed host" });
    reader.reset();
    expect(reader.push(Buffer.from("GET / HTTP/1.1\r\n\r\n"))).toMatchObject({ why: "missing host" });
  });

  test("keeps a slow sender's bytes at a cost in line with their number", () => {
    const bytes = Buffer.from(
      `GET /${"a".repeat(30_000)} HTTP/1.1\r\nHost: example.com\r\nX: ${"y".repeat(30_000)}\r\n\r\n`,
    );
    const cost = (length: number) => {
      const started = process.cpuUsage();
      const reader = new RequestHeadReader();
      for (let at = 0; at < length; at += 1) reader.push(bytes.subarray(at, at + 1));
      const { user, system } = process.cpuUsage(started);
      return user + system;
    };
    cost(bytes.length);
    // Copying what was kept at every push would cost gigabytes of memory traffic here, and seconds.
    expect(cost(bytes.length)).toBeLessThan(500_000);
  });
});
