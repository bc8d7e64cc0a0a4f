import { strictEqual as equal, ok, deepStrictEqual as same } from "node:assert";
import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { parseAuthority, parseRunId } from "../../../packages/core/src/index.ts";
import { getAllFields } from "../../../packages/gate/src/http1/fields.ts";
import type { RequestHead } from "../../../packages/gate/src/http1/messages.ts";
import { RequestHeadReader } from "../../../packages/gate/src/http1/request-head-reader.ts";
import { newRequestContext } from "../../../packages/gate/src/pipeline/new-request-context.ts";
import type { RequestContext, Tunnel } from "../../../packages/gate/src/pipeline/request-context.ts";
import { runStages } from "../../../packages/gate/src/pipeline/stages.ts";
import { CompiledRun } from "../../../packages/gate/src/worker/compile-run.ts";
import { RequestWriter } from "../../../packages/gate/src/worker/request-writer.ts";
import { mutate } from "../../../packages/gate/test/http1/mutate.ts";
import { type FuzzTarget, unlessRefused } from "../fuzz-target.ts";

const REAL = "real-value-of-the-grant";
const SLOT_REAL = "real-value-of-the-slot";
const PLACEHOLDER = "gh-placeholder-0123456789abcdef";
const SLOT_PLACEHOLDER = "gh-placeholder-of-the-slot-0123";
const GRANTED = "api.test";

const run = new CompiledRun({
  runId: parseRunId("run-1"),
  agent: undefined,
  project: undefined,
  tokenHash: "",
  place: { kind: "shared" },
  isExternal: false,
  containerAddresses: undefined,
  policy: {
    mode: "strict",
    rules: [
      { action: "deny", hosts: [GRANTED], paths: ["/private/**"] },
      { action: "allow", hosts: [GRANTED, "other.test"] },
    ],
  },
  injections: [
    {
      grant: "api",
      credential: "api",
      host: GRANTED,
      methods: undefined,
      paths: undefined,
      header: "authorization",
      value: `Bearer ${REAL}`,
      allowCleartext: false,
    },
  ],
  slots: [{ grant: "slot", host: GRANTED, header: "x-slot", placeholder: SLOT_PLACEHOLDER, value: SLOT_REAL }],
  transformers: [],
  mcpServers: [],
  extraHeaders: [],
  removeHeaders: [],
  placeholders: [PLACEHOLDER, SLOT_PLACEHOLDER].map((text) => ({ grant: "api", text })),
  scrub: [],
  scrubHosts: [],
});

const TUNNELS: readonly (Tunnel | undefined)[] = [
  undefined,
  { host: GRANTED, port: 443, isTls: true },
  { host: GRANTED, port: 80, isTls: false },
  { host: "other.test", port: 443, isTls: true },
];

const corpus = [
  "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n",
  "GET http://api.test/a HTTP/1.1\r\nHost: api.test\r\n\r\n",
  "GET https://api.test/a?b HTTP/1.1\r\nHost: api.test:443\r\n\r\n",
  "GET http://other.test/a HTTP/1.1\r\nHost: other.test:80\r\n\r\n",
  `GET /a HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer ${PLACEHOLDER}\r\n\r\n`,
  `GET /a HTTP/1.1\r\nHost: api.test\r\nX-Slot: ${SLOT_PLACEHOLDER}\r\n\r\n`,
  `GET /a HTTP/1.1\r\nHost: other.test\r\nX-Slot: Bearer ${SLOT_PLACEHOLDER}\r\n\r\n`,
  `GET /${PLACEHOLDER}?q=${SLOT_PLACEHOLDER} HTTP/1.1\r\nHost: api.test\r\n\r\n`,
  "GET /x/../private%2fa;b//c?_method=PUT&access_token=x HTTP/1.1\r\nHost: api.test\r\n\r\n",
  "POST /a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\nConnection: close, x-own\r\nX-Own: 1\r\n\r\n",
  "POST /a HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nUpgrade: h2c\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: API.test.\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX_Forwarded_For: 1\r\n\r\n",
  "TRACE / HTTP/1.0\r\nCookie: a=b\r\nConnection: authorization, host\r\n\r\n",
].map((text) => Buffer.from(text, "latin1"));

/** From a head to the bytes that leave: one destination, no placeholder, no real value but where it was granted. */
export const target: FuzzTarget = {
  corpus,
  generate: (random) => mutate(corpus, random),
  check: (bytes, random) => {
    const result = new RequestHeadReader().push(bytes);
    if (result.kind !== "head" || result.head.method === "CONNECT") return;
    const context = newRequestContext(run, result.head, TUNNELS[random(TUNNELS.length)]);
    const refusal = unlessRefused(() => runStages(context) ?? "none");
    if (refusal === "none") checkSent(context);
  },
};

function checkSent(context: RequestContext): void {
  const { head, tunnel, host, port, isTls } = context;
  const place = tunnel ?? parseAuthority(/^https?:\/\/([^/?]*)/i.exec(head.target)?.[1] ?? "", isTls ? 443 : 80);
  same({ host, port }, { host: place?.host, port: place?.port });
  for (const stated of getAllFields(head.fields, "host")) {
    same(parseAuthority(stated, isTls ? 443 : 80), { host, port }, "a host was stated that is not dialed");
  }
  const text = sentBytes(context);
  const isGranted = host === GRANTED && isTls && head.method !== "TRACE";
  equal(text.includes(REAL), isGranted, "the grant's value");
  ok(isGranted || !text.includes(SLOT_REAL), "the slot's value on another host");
  ok(!text.includes(PLACEHOLDER) && !text.includes(SLOT_PLACEHOLDER), "a placeholder");
  checkReadAgain(text, context);
}

function sentBytes(context: RequestContext): string {
  const out = new PassThrough();
  // The writer uses no more of a socket than a stream has.
  new RequestWriter(out as unknown as Socket, context).start(undefined);
  return ((out.read() as Buffer | null) ?? Buffer.alloc(0)).toString("latin1");
}

/** What leaves has one reading, and it is what was judged. */
function checkReadAgain(text: string, context: RequestContext): void {
  const result = new RequestHeadReader().push(Buffer.from(text, "latin1"));
  if (result.kind !== "head") throw new Error(`what was sent is no head: ${JSON.stringify(result)}`);
  const { head, host, port, isTls, path, query } = context;
  const sent: RequestHead = result.head;
  equal(result.rest.length, 0);
  equal(sent.method, head.method);
  equal(sent.target, query === undefined ? path : `${path}?${query}`);
  same(sent.framing, head.framing);
  same(parseAuthority(getAllFields(sent.fields, "host")[0] ?? "", isTls ? 443 : 80), { host, port });
  const names = sent.fields.map(({ lowerName }) => lowerName.replaceAll("_", "-"));
  equal(
    names.filter((name) => name === "authorization").length,
    head.method !== "TRACE" && isTls && host === GRANTED ? 1 : 0,
  );
  ok(
    !names.some((name) => /^(?:proxy-.*|x-forwarded-.*|te|keep-alive|cookie|http2-settings)$/.test(name)),
    names.join(),
  );
}
