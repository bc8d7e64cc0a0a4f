import { connect } from "node:net";
import { setImmediate } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { eventually } from "@gatehouse/testbed";
import { expect } from "vitest";
import type { RunSnapshot } from "../../src/snapshot/run-snapshot.ts";
import { type GateUnderTest, injection, openGate, outside } from "../worker/gate-under-test.ts";
import type { ConfusionCase, Forwarded, Way } from "./confusion-case.ts";
import { wayOf } from "./confusion-case.ts";
import { fieldOf, type PlainMessage, PlainStream } from "./plain-stream.ts";
import { openRecordingOrigin, type RecordingOrigin, whatWasSeen } from "./recording-origin.ts";

const REAL = "Bearer real-value-of-the-grant";

interface PutRun {
  readonly run: Partial<RunSnapshot>;
  readonly token: string;
}

/** A gate between clients and a granted service, with and without TLS, and an allowed one without a grant. */
export class GateInTheMiddle implements AsyncDisposable {
  readonly gate: GateUnderTest;
  readonly #origin: RecordingOrigin;
  readonly #clearOrigin: RecordingOrigin;
  readonly #other: RecordingOrigin;
  readonly #run: Partial<RunSnapshot>;
  readonly #token: string;
  /** Method and body of each request that was to be forwarded, in order. */
  readonly #expected: string[] = [];

  private constructor(gate: GateUnderTest, origins: readonly RecordingOrigin[], { run, token }: PutRun) {
    const [origin, clearOrigin, other] = origins;
    if (origin === undefined || clearOrigin === undefined || other === undefined) throw new Error("three origins");
    this.gate = gate;
    this.#origin = origin;
    this.#clearOrigin = clearOrigin;
    this.#other = other;
    this.#run = run;
    this.#token = token;
  }

  static async open(): Promise<GateInTheMiddle> {
    const origins = await Promise.all([outside, undefined, undefined].map(openRecordingOrigin));
    const [port, clearPort, otherPort] = origins.map((one) => one.port);
    const gate = await openGate();
    const cidr = ["127.0.0.0/8"];
    const granted = [`api.test:${port}`, `sub.api.test:${port}`, `api.test:${clearPort}`];
    const run: Partial<RunSnapshot> = {
      policy: {
        mode: "strict",
        rules: [
          { action: "deny", hosts: [`sub.api.test:${port}`], paths: ["/private/**"] },
          { action: "allow", hosts: [...granted, `other.test:${otherPort}`], cidr },
        ],
      },
      injections: granted.map((host) => injection(host, REAL, { allowCleartext: true })),
      scrub: [{ value: REAL, overwrite: "*".repeat(REAL.length) }],
    };
    return new GateInTheMiddle(gate, origins, { run, token: await gate.put(run) });
  }

  way(kind: Way["kind"], name = "api.test"): Way {
    const { port } = kind === "tunnel" ? this.#origin : this.#clearOrigin;
    return wayOf(kind, { host: `${name}:${port}`, other: `other.test:${this.#other.port}`, token: this.#token });
  }

  /** Bytes of each connection to the service on which whole messages came. */
  async run(one: ConfusionCase, way: Way, pieces: readonly Buffer[]): Promise<readonly Buffer[]> {
    const client = await this.#connect(way);
    for (const piece of pieces) {
      client.socket.write(piece);
      if (pieces.length > 1) await setImmediate();
    }
    if (one.hangsUp) client.socket.end();
    let forwards = one.forwards;
    let answers: readonly (number | string)[] = one.answers;
    const isOtherwise = () => client.messages.some((answer, at) => outcomeOf(answer) !== answers[at]);
    if (one.end === "closed") await client.until(() => client.isClosed || isOtherwise());
    else {
      await client.until(() => client.messages.length >= answers.length || client.isClosed);
      client.socket.write(way.head("GET /the-end"));
      forwards = [...forwards, { start: "GET /the-end" }];
      answers = [...answers, 200];
      await client.until(() => client.messages.length >= answers.length || client.isClosed);
    }
    client.socket.destroy();
    expect(client.messages.map(outcomeOf)).toEqual(answers);
    expect(client.unread).toBe("");
    expect(client.text).not.toContain(REAL);
    return this.#checkService({ way, forwards, client });
  }

  /** Sends whatever bytes, and hangs up unless the gate will. What arrived at the service, by connections. */
  async send(bytes: Buffer, way: Way, endsByItself: boolean): Promise<readonly PlainStream[]> {
    const client = await this.#connect(way);
    client.socket.write(bytes);
    if (!endsByItself) client.socket.end();
    await client.until(() => client.isClosed);
    client.socket.destroy();
    expect(client.text).not.toContain(REAL);
    return (way.kind === "tunnel" ? this.#origin : this.#clearOrigin).take();
  }

  /** The head of a message is one that the gate wrote for this service: its host, and the credential once. */
  checkHead({ start, fields }: PlainMessage, way: Way): void {
    expect(fields[0]).toBe(`Host: ${way.host}`);
    const credentials = fields.filter((field) => /^(?:host|authorization|cookie|proxy-.*) *:/i.test(field)).slice(1);
    expect(credentials).toEqual(start.startsWith("TRACE ") ? [] : [`authorization: ${REAL}`]);
  }

  /** Nothing was thrown, nothing went to the other host, and the gate serves. */
  async checkAlive(): Promise<void> {
    const way = this.way("tunnel");
    const client = await this.#connect(way);
    client.socket.write(way.head("GET /alive"));
    await client.until(() => client.messages.length > 0 || client.isClosed);
    client.socket.destroy();
    expect(client.messages.map(outcomeOf)).toEqual([200]);
    expect(this.gate.faults).toEqual([]);
    expect(this.#other.streams.map(({ text }) => text)).toEqual([]);
  }

  /** After every case: nothing came later, and records and messages agree. */
  async checkAll(): Promise<void> {
    await this.checkAlive();
    const streams = [...this.#origin.streams, ...this.#clearOrigin.streams];
    const seen = streams.reduce((sum, { messages }) => sum + messages.length, 0);
    expect(seen).toBe(this.#expected.length + 1);
    const allowed = () => this.gate.records.filter(({ decision, status }) => decision === "allowed" && status === 200);
    await eventually("the records", () => allowed().length >= seen);
    expect(allowed().map(({ method, bytes_in }) => `${method} ${bytes_in}`)).toEqual([...this.#expected, "GET 0"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gate[Symbol.asyncDispose]();
    for (const origin of [this.#origin, this.#clearOrigin, this.#other]) await origin[Symbol.asyncDispose]();
  }

  /**
   * Waits for events alone: thousands of connections are opened. The run has a new form each time, so that each case
   * has connections to the service of its own.
   */
  async #connect({ kind, host }: Way): Promise<PlainStream> {
    await this.gate.put(this.#run);
    const socket = connect({ port: this.gate.port, host: "127.0.0.1" });
    const front = new PlainStream(socket);
    if (kind === "front") return front;
    socket.write(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\nProxy-Authorization: Bearer ${this.#token}\r\n\r\n`);
    await front.until(() => front.messages.length > 0 || front.isClosed);
    expect(front.messages.map(outcomeOf)).toEqual([200]);
    socket.removeAllListeners("data");
    const [servername = ""] = host.split(":");
    return new PlainStream(connectTls({ socket, servername, ca: this.gate.interceptionCa }));
  }

  #checkService(seen: {
    readonly way: Way;
    readonly forwards: readonly Forwarded[];
    readonly client: PlainStream;
  }): readonly Buffer[] {
    const { way, forwards, client } = seen;
    const streams = (way.kind === "tunnel" ? this.#origin : this.#clearOrigin).take();
    const messages = streams.flatMap((stream) => stream.messages);
    this.#expected.push(...forwards.map(({ start, body = "" }) => `${start.split(" ")[0]} ${body.length}`));
    expect(messages).toEqual(forwards.map((one) => asSent(one, way)));
    const saw = client.messages.flatMap((answer) => fieldOf(answer, "x-saw") ?? []);
    expect(saw).toEqual(messages.map(whatWasSeen));
    return streams.filter((stream) => stream.messages.length > 0).map(({ text }) => Buffer.from(text, "latin1"));
  }
}

function outcomeOf(answer: PlainMessage): number | string {
  return fieldOf(answer, "x-gatehouse-denied") ?? Number(answer.start.split(" ")[1]);
}

/** A message as the gate writes it: where it goes, its framing, its fields, the credential. */
function asSent({ start, fields = [], body = "", trailers = [], hasNoCredential }: Forwarded, way: Way): PlainMessage {
  const [framing, ...others] = /^(?:content-length|transfer-encoding):/i.test(fields[0] ?? "")
    ? fields
    : [undefined, ...fields];
  return {
    start: `${start} HTTP/1.1`,
    fields: [
      `Host: ${way.host}`,
      ...(framing === undefined ? [] : [framing]),
      ...others.filter((one) => one !== undefined),
      ...(hasNoCredential ? [] : [`authorization: ${REAL}`]),
      "Accept-Encoding: identity",
    ],
    body,
    trailers,
  };
}
