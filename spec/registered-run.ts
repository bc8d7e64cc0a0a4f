import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { eventually } from "@gatehouse/testbed";

/** The answer to a registration. */
export interface Registered {
  readonly auth_token: string;
  readonly proxy_port: number;
}

export interface Ask {
  readonly path?: string;
  readonly method?: string;
  /** Whole lines. */
  readonly fields?: readonly string[];
  /** Where the gate is dialed, and from which address. Default 127.0.0.1, both. */
  readonly gate?: string;
  readonly from?: string;
}

/** A tunnel through the gate, as a client outside every sandbox of ours opens it. */
export async function openTunnel(
  { auth_token, proxy_port }: Registered,
  host: string,
  { gate = "127.0.0.1", from }: Ask = {},
) {
  const source = from === undefined ? {} : { localAddress: from };
  const socket = connect({ port: proxy_port, host: gate, ...source });
  const seen = { text: "", isClosed: false, socket };
  socket.on("data", (part: Buffer) => {
    seen.text += part.toString("latin1");
  });
  socket.once("error", () => socket.destroy());
  socket.once("close", () => {
    seen.isClosed = true;
  });
  const auth = `Proxy-Authorization: Basic ${btoa(`any:${auth_token}`)}`;
  socket.write(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n${auth}\r\n\r\n`);
  await eventually("the proxy's answer", () => seen.text.includes("\r\n\r\n") || seen.isClosed);
  return seen;
}

/** The answer to one request inside a tunnel, or to the CONNECT if that was refused. */
export async function askThrough(run: Registered, host: string, ask: Ask = {}): Promise<string> {
  const { text, socket } = await openTunnel(run, host, ask);
  if (!text.startsWith("HTTP/1.1 200 ")) {
    socket.destroy();
    return text;
  }
  socket.removeAllListeners("data");
  // What is asked here is the gate's answer; that its certificate is good is the clients' suite's question.
  const secure = connectTls({ socket, rejectUnauthorized: false });
  const lines = [`${ask.method ?? "GET"} ${ask.path ?? "/"} HTTP/1.1`, `Host: ${host}`, ...(ask.fields ?? [])];
  secure.write(`${lines.join("\r\n")}\r\nConnection: close\r\n\r\n`);
  let answer = "";
  for await (const part of secure) answer += (part as Buffer).toString("latin1");
  return answer;
}
