import { request } from "node:https";
import type { TestAuthority } from "../src/index.ts";

export interface Fetched {
  readonly status: number;
  readonly body: string;
}

/** One GET by TLS from a loopback port, trusting the authority alone. */
export function fetchFrom(
  authority: TestAuthority,
  target: { readonly port: number; readonly name?: string; readonly path?: string },
  headers: Readonly<Record<string, string>> = {},
): Promise<Fetched> {
  const { port, name, path = "/" } = target;
  return new Promise((resolve, reject) => {
    const sent = request({
      host: "127.0.0.1",
      port,
      path,
      headers: { ...headers },
      ca: authority.certificatePem,
      agent: false,
      ...(name === undefined ? {} : { servername: name }),
    });
    sent.once("error", reject);
    sent.once("response", (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.once("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.end();
  });
}
