/** What the probe is told by its variables. The same text runs inside a sandbox and, as the control, outside. */
export interface ProbeTargets {
  readonly who: "inside" | "outside";
  readonly allowedUrl: string;
  readonly deniedUrl: string;
  readonly tcpPort: number;
  readonly udpPort: number;
  readonly unixPath: string;
  readonly abstractName: string;
}

/** One line that the probe prints. */
export type ProbeLine =
  | { readonly step: "namespace"; readonly pid: string }
  | { readonly step: "call" | "denied"; readonly status: number; readonly body: string; readonly header: string }
  | { readonly step: "routes-tried"; readonly tried: readonly string[] }
  | { readonly step: "loop"; readonly status: number };

/** Variables that tell the probe. */
export function probeVariables(targets: ProbeTargets): Record<string, string> {
  return { PROBE: JSON.stringify(targets) };
}

/** The probe, as a program for Node.js without dependencies. */
export const PROBE_PROGRAM = `
import { connect } from "node:net";
import { createSocket } from "node:dgram";
import { readlinkSync } from "node:fs";
const t = JSON.parse(process.env.PROBE);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\\n");
async function call(step, url) {
  try {
    const answer = await fetch(url);
    say({ step, status: answer.status, body: await answer.text(), header: answer.headers.get("x-you-sent") ?? "" });
  } catch (failure) {
    say({ step, status: 0, body: String(failure.cause ?? failure), header: "" });
  }
}
function knock(kind, options) {
  return new Promise((resolve) => {
    const socket = connect(options);
    const done = () => { socket.destroy(); resolve(kind); };
    socket.setTimeout(500, done);
    socket.on("error", done);
    socket.on("connect", () => socket.end(t.who + ":" + kind, () => setTimeout(done, 20)));
  });
}
function knockUdp(kind) {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    const done = () => { socket.close(); resolve(kind); };
    socket.on("error", done);
    socket.send(t.who + ":" + kind, t.udpPort, "127.0.0.1", () => setTimeout(done, 50));
  });
}
say({ step: "namespace", pid: readlinkSync("/proc/self/ns/pid") });
await call("call", t.allowedUrl);
await call("denied", t.deniedUrl);
const tried = await Promise.all([
  knock("tcp", { host: "127.0.0.1", port: t.tcpPort }),
  knockUdp("udp"), knockUdp("dns"),
  knock("unix", { path: t.unixPath }),
  knock("abstract", { path: "\\0" + t.abstractName }),
]);
say({ step: "routes-tried", tried });
if (t.who === "inside") {
  for (let n = 0; n < 600; n += 1) {
    const status = await fetch(t.allowedUrl).then((a) => a.text().then(() => a.status), () => 0);
    say({ step: "loop", status });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
`;
