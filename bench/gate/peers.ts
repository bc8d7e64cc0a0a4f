import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { requestUnixOk } from "@gatehouse/kit";
import { type Measured, startCommand, startProgram } from "../process.ts";

/** Something that stands between generator and origin. */
export interface Peer extends AsyncDisposable {
  readonly name: string;
  /** Where the generator connects: a proxy's port, or 0 and the port to use in the origin's place. */
  readonly proxyPort: number;
  readonly proxyToken: string;
  readonly originPort: number;
  readonly process: Measured | undefined;
}

export interface Bench {
  readonly dir: string;
  readonly host: string;
  readonly originPort: number;
  readonly certFile: string;
  readonly keyFile: string;
  /** Trusted by the generator and by every peer: the bench's own CA. */
  readonly caFile: string;
}

/** No peer: the generator asks the origin itself. */
export function openDirect({ originPort }: Bench): Promise<Peer> {
  return Promise.resolve({
    name: "direct",
    proxyPort: 0,
    proxyToken: "",
    originPort,
    process: undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

export async function openRelay({ originPort }: Bench): Promise<Peer> {
  const relay = await startProgram(new URL("./relay.ts", import.meta.url), []);
  return asProxy("relay", relay, { port: Number(relay.ready.port), token: "", originPort });
}

/** The product as a user starts it, with one run registered over its local API. */
export async function openGate(bench: Bench): Promise<Peer> {
  const stateDir = join(bench.dir, "state");
  const config = join(bench.dir, "config.yaml");
  writeFileSync(config, `gate:\n  upstreamCa: ${bench.caFile}\n`);
  const entry = new URL("../../dist/gatehouse.js", import.meta.url).pathname;
  const args = [entry, "up", "--json", "--state-dir", stateDir, "--config", config];
  const daemon = startCommand(process.execPath, args);
  await firstLine(daemon);
  const socketPath = join(stateDir, "daemon.sock");
  const registered = (await requestUnixOk({
    socketPath,
    method: "POST",
    path: "/v1/runs",
    body: {
      run_id: "bench",
      network_policy: "strict",
      network_allow: [`${bench.host}:${bench.originPort}`],
      credentials: [
        {
          host: `${bench.host}:${bench.originPort}`,
          header: "Authorization",
          value: "Bearer real-credential-of-the-bench",
        },
      ],
    },
  })) as { auth_token: string; proxy_port: number };
  const { auth_token: token, proxy_port: port } = registered;
  return asProxy("gate", daemon, { port, token, originPort: bench.originPort });
}

/** nginx with the same two TLS legs in C, as a reverse proxy: no interception, no policy. */
async function openNginx(bench: Bench): Promise<Peer> {
  const port = 20_000 + (process.pid % 10_000);
  const home = join(bench.dir, "nginx");
  mkdirSync(home, { recursive: true });
  const file = join(home, "nginx.conf");
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${home}/pid; error_log ${home}/error.log; worker_processes 1;
events { worker_connections 4096; }
http { access_log off; client_body_temp_path ${home}/b; proxy_temp_path ${home}/p; fastcgi_temp_path ${home}/f; uwsgi_temp_path ${home}/u; scgi_temp_path ${home}/s;
 upstream origin { server 127.0.0.1:${bench.originPort}; keepalive 256; keepalive_requests 10000000; }
 server { listen 127.0.0.1:${port} ssl; keepalive_requests 10000000; ssl_certificate ${bench.certFile}; ssl_certificate_key ${bench.keyFile};
  location / { proxy_pass https://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; proxy_set_header Authorization "Bearer real"; proxy_ssl_session_reuse on; } } }
`,
  );
  const nginx = startCommand("nginx", ["-c", file, "-e", join(home, "error.log")]);
  await untilListening(port);
  return { ...asProxy("nginx", nginx, { port: 0, token: "", originPort: port }) };
}

/** squid with ssl-bump: interception in C. */
async function openSquid(bench: Bench): Promise<Peer> {
  const port = 31_000 + (process.pid % 10_000);
  const home = join(bench.dir, "squid");
  mkdirSync(home, { recursive: true, mode: 0o777 });
  const run = (command: string, args: readonly string[]) => execFileSync(command, [...args], { stdio: "ignore" });
  run("/usr/lib/squid/security_file_certgen", ["-c", "-s", join(home, "db"), "-M", "4MB"]);
  run("chmod", ["-R", "777", home, bench.dir]);
  const file = join(home, "squid.conf");
  writeFileSync(
    file,
    `http_port 127.0.0.1:${port} ssl-bump generate-host-certificates=on tls-cert=${bench.dir}/ca.pem tls-key=${bench.dir}/ca.key
sslcrtd_program /usr/lib/squid/security_file_certgen -s ${home}/db -M 4MB
tls_outgoing_options cafile=${bench.caFile}
acl step1 at_step SslBump1
ssl_bump peek step1
ssl_bump bump all
http_access allow all
request_header_access Authorization deny all
request_header_add Authorization "Bearer real" all
cache deny all
access_log none
cache_log /dev/null
pid_filename ${home}/pid
coredump_dir ${home}
shutdown_lifetime 0 seconds
workers 1
`,
  );
  const squid = startCommand("squid", ["-N", "-f", file]);
  await untilListening(port);
  return asProxy("squid", squid, { port, token: "x", originPort: bench.originPort });
}

/** Which of the comparison proxies this machine has. */
export function installedPeers(): readonly ((bench: Bench) => Promise<Peer>)[] {
  const nginx = existsSync("/usr/sbin/nginx") ? [openNginx] : [];
  const squid = existsSync("/usr/lib/squid/security_file_certgen") ? [openSquid] : [];
  return [...nginx, ...squid];
}

function asProxy(
  name: string,
  process: Measured,
  place: { readonly port: number; readonly token: string; readonly originPort: number },
): Peer {
  return {
    name,
    proxyPort: place.port,
    proxyToken: place.token,
    originPort: place.originPort,
    process,
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}

function firstLine({ child }: Measured): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("\n")) resolve(text);
    });
    child.once("exit", (code) => reject(new Error(`ended with ${code} before it was ready`)));
  });
}

async function untilListening(port: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (performance.now() < deadline) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (isOpen) return;
  }
  throw new Error(`nothing listens on port ${port}`);
}
