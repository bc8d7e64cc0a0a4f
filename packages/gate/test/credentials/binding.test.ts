import { describe, expect, test } from "vitest";
import { bindingBytes, checkBinding, formatHeader, requireBindings } from "../../src/credentials/binding.ts";

const BINDING = { hosts: ["api.example.test"], header: "Authorization", format: "Bearer {value}" };

describe("a header's format", () => {
  test.each([
    ["Bearer {value}", "Bearer v1"],
    ["{value}", "v1"],
    ["token {value}", "token v1"],
    ["Basic user:{value}", `Basic ${Buffer.from("user:v1").toString("base64")}`],
    ["basic {value}:", `Basic ${Buffer.from("v1:").toString("base64")}`],
  ])("%s gives what servers expect", (format, expected) => {
    expect(formatHeader(format, "v1")).toBe(expected);
  });

  test("a value with the replacement's own signs is taken as it is", () => {
    expect(formatHeader("Bearer {value}", "a$&b$1")).toBe("Bearer a$&b$1");
  });
});

describe("a binding is refused", () => {
  test.each([
    ["that names every host", { ...BINDING, hosts: ["*"] }],
    ["over a public suffix", { ...BINDING, hosts: ["*.co.uk"] }],
    ["over a suffix that strangers share", { ...BINDING, hosts: ["*.github.io"] }],
    ["over a cloud's machines", { ...BINDING, hosts: ["*.eu-west-1.amazonaws.com"] }],
    ["over a top-level domain", { ...BINDING, hosts: ["*.com"] }],
    ["into Host", { ...BINDING, header: "Host" }],
    ["into Transfer-Encoding", { ...BINDING, header: "transfer-encoding" }],
    ["into Content-Length in another spelling", { ...BINDING, header: "content_length" }],
    ["into a proxy's header", { ...BINDING, header: "Proxy-Authorization" }],
    ["without a place for the value", { ...BINDING, format: "Bearer" }],
    ["with two places for the value", { ...BINDING, format: "{value} {value}" }],
    ["with a line end in its format", { ...BINDING, format: "Bearer {value}\r\nX: y" }],
    ["with a path that is no pattern", { ...BINDING, paths: ["no-slash"] }],
  ])("%s", (_, binding) => {
    expect(() => checkBinding(binding)).toThrowError(
      expect.objectContaining({ code: expect.stringMatching(/invalid/) }),
    );
  });

  test.each(["methods", "paths"])("with an empty list of %s, which would be sealed like none at all", (list) => {
    expect(() => requireBindings([{ ...BINDING, [list]: [] }])).toThrowError(
      expect.objectContaining({ code: "grants.invalid" }),
    );
  });

  test("and one over a domain of one's own is not", () => {
    expect(() => checkBinding({ ...BINDING, hosts: ["*.example.com", "*.build.example.com:8443"] })).not.toThrow();
  });
});

test("what a credential is bound to changes with every part of it", () => {
  const identity = { id: "01890000-0000-7000-8000-000000000000", name: "n", version: 1 };
  const bytes = (...[who, bindings]: Parameters<typeof bindingBytes>) =>
    Buffer.from(bindingBytes(who, bindings)).toString("hex");
  const base = bytes(identity, [BINDING]);
  const others = [
    bytes({ ...identity, name: "m" }, [BINDING]),
    bytes({ ...identity, version: 2 }, [BINDING]),
    bytes({ ...identity, id: "01890000-0000-7000-8000-000000000001" }, [BINDING]),
    bytes(identity, [{ ...BINDING, hosts: ["evil.example.test"] }]),
    bytes(identity, [{ ...BINDING, hosts: ["api.example.test", "evil.example.test"] }]),
    bytes(identity, [{ ...BINDING, header: "X-Key" }]),
    bytes(identity, [{ ...BINDING, format: "{value}" }]),
    bytes(identity, [{ ...BINDING, methods: ["GET"] }]),
    bytes(identity, [{ ...BINDING, paths: ["/a"] }]),
    bytes(identity, [BINDING, BINDING]),
  ];
  expect(new Set([base, ...others]).size).toBe(others.length + 1);
});
