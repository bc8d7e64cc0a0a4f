import { connect } from "node:net";
import { expect, test, vi } from "vitest";
import { type MetricsServer, openHealth, renderMetrics, serveMetrics } from "../../src/index.ts";

/** Status line and body of one request with this Host. */
async function ask({ port }: MetricsServer, { path = "/metrics", method = "GET", host = `127.0.0.1:${port}` } = {}) {
  const socket = connect(port, "127.0.0.1");
  socket.end(`${method} ${path} HTTP/1.1\r\n${host === "" ? "" : `Host: ${host}\r\n`}Connection: close\r\n\r\n`);
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  const [head = "", body = ""] = text.split("\r\n\r\n");
  return { status: Number(head.split(" ")[1]), body };
}

function serve(options: Partial<Parameters<typeof serveMetrics>[0]> = {}): Promise<MetricsServer> {
  return serveMetrics({
    port: 0,
    isExplicit: true,
    health: openHealth({ probes: [] }),
    render: () => Promise.resolve("figures\n"),
    onFault: () => undefined,
    ...options,
  });
}

test("metrics are served to whoever calls the place by its own name, and to nobody else", async () => {
  let rendered = 0;
  await using server = await serve({ render: () => Promise.resolve(`figures ${++rendered}\n`) });
  expect(await ask(server)).toEqual({ status: 200, body: expect.stringContaining("figures 1") });
  expect((await ask(server, { host: `localhost:${server.port}` })).status).toBe(200);
  for (const host of ["rebound.example.com", `127.0.0.1.example.com:${server.port}`, "127.0.0.1:x"]) {
    expect((await ask(server, { host })).status, host).toBe(421);
  }
  expect((await ask(server, { host: "" })).status).toBe(400);
  expect((await ask(server, { method: "POST" })).status).toBe(405);
  expect((await ask(server, { path: "/else" })).status).toBe(404);
  expect(rendered).toBe(2);
});

test("health stands beside them: alive at once, ready when the start has finished", async () => {
  const health = openHealth({ probes: [] });
  await using server = await serve({ health });
  expect((await ask(server, { path: "/livez" })).status).toBe(200);
  expect((await ask(server, { path: "/readyz" })).status).toBe(503);
  health.setReady();
  expect((await ask(server, { path: "/readyz" })).status).toBe(200);
  expect((await ask(server, { path: "/healthz" })).body).toContain('"status":"ok"');
});

test("a busy port is left for a free one, unless it was asked for", async () => {
  await using first = await serve();
  await using second = await serve({ port: first.port, isExplicit: false });
  expect(second.port).not.toBe(first.port);
  await expect(serve({ port: first.port })).rejects.toMatchObject({ code: "config.port_busy" });
});

test("what fails while it is answered is told, and answered with 500", async () => {
  const faults: unknown[] = [];
  const failure = new Error("no figures");
  await using server = await serve({ render: () => Promise.reject(failure), onFault: (thrown) => faults.push(thrown) });
  expect((await ask(server)).status).toBe(500);
  expect(faults).toEqual([failure]);
});

test("figures become the text that Prometheus reads; names without figures are left out", async () => {
  const table = {
    a_total: { kind: "counter", say: "What is counted.", labels: ["of"] },
    b: { kind: "gauge", say: "What is." },
    c_seconds: { kind: "histogram", say: "How long.", labels: ["le"] },
  } as const;
  const text = await renderMetrics(table, {
    a_total: [{ value: 3, labels: { of: 'x"y' } }],
    c_seconds: [
      { value: 1, labels: { le: 0.5 }, suffix: "_bucket" },
      { value: 2, labels: { le: "+Inf" }, suffix: "_bucket" },
      { value: 4.5, suffix: "_sum" },
      { value: 2, suffix: "_count" },
    ],
  });
  expect(text).toBe(
    [
      "# HELP a_total What is counted.",
      "# TYPE a_total counter",
      'a_total{of="x\\"y"} 3',
      "",
      "# HELP c_seconds How long.",
      "# TYPE c_seconds histogram",
      'c_seconds_bucket{le="0.5"} 1',
      'c_seconds_bucket{le="+Inf"} 2',
      "c_seconds_sum 4.5",
      "c_seconds_count 2",
      "",
    ].join("\n"),
  );
});

test("connections that say nothing, or half a head, give their places back in seconds", async () => {
  await using server = await serve();
  let closed = 0;
  for (let at = 0; at < 64; at += 1) {
    const socket = connect(server.port, "127.0.0.1").resume();
    if (at % 2 === 0) socket.write("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    socket
      .on("error", () => undefined)
      .once("close", () => {
        closed += 1;
      });
  }
  await vi.waitUntil(() => closed === 64, { timeout: 10_000, interval: 50 });
  expect((await ask(server)).status).toBe(200);
});
