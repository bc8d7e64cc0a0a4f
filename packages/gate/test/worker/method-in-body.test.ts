import { expect, test } from "vitest";
import { MethodInBody } from "../../src/pipeline/method-in-body.ts";
import { removeParameters } from "../../src/pipeline/normalise-target.ts";
import { allowing, injection, openGate, outside } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

/** A body of stated type, and how it comes: whole, or in two pieces. */
const OTHER_METHOD: readonly (readonly [type: string | undefined, body: string, second?: string])[] = [
  ["application/x-www-form-urlencoded", "a=1&_method=DELETE"],
  ["application/x-www-form-urlencoded; charset=utf-8", "a=_method&%5Fmet", "hod=DELETE&b=2"],
  ["application/x-www-form-urlencoded", "+_method=DELETE"],
  ["application/x-www-form-urlencoded", "[_method]=DELETE"],
  ["application/x-www-form-urlencoded", "a=1;.method=DELETE"],
  ["application/x-www-form-urlencoded", `a=${"x".repeat(2_000)}&_met`, "hod"],
  ["application/x-www-form-urlencoded", `a=1&${"+".repeat(600)}`, "_method=DELETE"],
  [
    "multipart/form-data; boundary=b",
    `--b\r\nContent-Disposition: form-data; name="${" ".repeat(600)}`,
    '_method"\r\n',
  ],
  [undefined, "_method=DELETE"],
  ["multipart/form-data; boundary=b", '--b\r\nContent-Disposition: form-data; name="_method"\r\n\r\nDELETE\r\n--b--'],
  ["multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; NAME=_met", "hod\r\n\r\nDELETE\r\n--b--"],
  [
    "multipart/related; boundary=b",
    '--b\r\nContent-Disposition: form-data;\r\n name = "_met\\hod"\r\n\r\nDELETE\r\n--b--',
  ],
  ["application/json", '{"a":"x", "\\u005fmethod" : "DELETE"}'],
  ["application/vnd.api+json", '{"_met', 'hod":"DELETE"}'],
];

test("a body that names another method is refused where methods are told apart, and never whole at the service", async () => {
  const limited = { methods: ["GET", "POST"], action: "allow" as const, cidr: ["127.0.0.0/8"] };
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const injections = [injection(host, "Bearer real")];
  await gate.put({ policy: { mode: "strict", rules: [{ ...limited, hosts: [host] }] }, injections });
  const post = async ([type, first, second = ""]: (typeof OTHER_METHOD)[number]) => {
    const client = await gate.tunnel(host);
    const fields = type === undefined ? [] : [`Content-Type: ${type}`];
    const length = `Content-Length: ${first.length + second.length}`;
    const head = ["POST /x HTTP/1.1", `Host: ${host}`, ...fields, length, "", ""].join("\r\n");
    client.send(head + first);
    await new Promise(setImmediate);
    client.send(second);
    const answer = await client.receive();
    client.stream.socket.destroy();
    return answer;
  };
  for (const body of OTHER_METHOD) {
    const answer = await post(body);
    expect([answer.status, answer.header("x-gatehouse-denied")], body.join(" ")).toEqual([
      400,
      "gate.ambiguous_request",
    ]);
  }
  expect(origin.requests).toEqual([]);
  expect(await post(["application/x-www-form-urlencoded", "method=a&x_method=1&a=_method&_methods=1"])).toMatchObject({
    status: 200,
  });
  expect(await post(["application/octet-stream", "_method=DELETE"])).toMatchObject({ status: 200 });
  expect(await post(["application/json", '{"method":"_method_"}'])).toMatchObject({ status: 200 });
  // Where every method is allowed there is nothing to be had by it.
  await gate.put({ policy: allowing(host), injections });
  expect((await post(["application/json", '{"_method":"DELETE"}'])).status).toBe(200);
  // A grant for some methods alone goes with no other.
  await gate.put({ policy: allowing(host), injections: [injection(host, "Bearer real", { methods: ["POST"] })] });
  expect((await post(["application/json", '{"_method":"DELETE"}'])).status).toBe(400);
});

test("no body and no query holds up everybody: what is looked at is looked at once", () => {
  const bodies = ["name=,;", 'name=" ;', "name ,;", "name=[ ;", "&&", "a&", "%ff&", "+", "]x", '"_metho', 'name="\\'];
  const kinds = ["urlencoded", "multipart", "json"] as const;
  const startedMs = performance.now();
  for (const body of bodies) {
    const text = body.replace(/[ ,&+\]\\]|_metho/, (one) => (one === "," ? " " : one).repeat(60_000 / one.length));
    for (const kind of kinds) expect(new MethodInBody(new Set([kind])).sees([Buffer.from(text)], false)).toBe(false);
    removeParameters(`a${text.slice(0, 30_000)}`, new Set(["_method"]));
  }
  expect(performance.now() - startedMs).toBeLessThan(5_000);
});
