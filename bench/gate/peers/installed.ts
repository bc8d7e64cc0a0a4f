import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startCommand } from "../../process.ts";
import { asProxy, freePort, type OpenPeer, untilListening } from "./peer.ts";

const CERTGEN = "/usr/lib/squid/security_file_certgen";

/** A program of this machine, and how to see whether it is here. */
interface Installed {
  readonly open: OpenPeer;
  readonly isHere: () => boolean;
  /** What to do where it is not. */
  readonly hint: string;
}

/** nginx with the same two TLS legs in C, as a reverse proxy: no interception, no policy. */
const openNginx: OpenPeer = async (bench, dir) => {
  const port = await freePort();
  const file = join(dir, "nginx.conf");
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${dir}/pid; error_log ${dir}/error.log; worker_processes 1;
events { worker_connections 16384; }
http { access_log off; client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
 client_body_temp_path ${dir}/b; proxy_temp_path ${dir}/p; fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
 upstream origin { server 127.0.0.1:${bench.originPort}; keepalive 256; keepalive_requests 10000000; }
 server { listen 127.0.0.1:${port} ssl; keepalive_requests 10000000; ssl_certificate ${bench.certFile}; ssl_certificate_key ${bench.keyFile};
  location / { proxy_pass https://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; proxy_set_header Authorization "Bearer real"; proxy_ssl_session_reuse on; } } }
`,
  );
  const nginx = startCommand("nginx", ["-c", file, "-e", join(dir, "error.log")]);
  await untilListening(port);
  const peer = asProxy(bench, "nginx", nginx, 0);
  return { ...peer, way: { ...peer.way, originPort: port } };
};

/** squid with ssl-bump: interception in C. */
const openSquid: OpenPeer = async (bench, dir) => {
  const port = await freePort();
  const run = (command: string, args: readonly string[]) => execFileSync(command, [...args], { stdio: "ignore" });
  run(CERTGEN, ["-c", "-s", join(dir, "db"), "-M", "4MB"]);
  // It leaves its rights behind, and must still reach what it was given. Nobody else may change the bench's own folder:
  // the gate takes no state directory whose place another user may take.
  run("chmod", ["-R", "a+rwX", dir]);
  run("chmod", ["a+rX", bench.dir, bench.caFile, bench.caKeyFile]);
  const file = join(dir, "squid.conf");
  writeFileSync(
    file,
    `http_port 127.0.0.1:${port} ssl-bump generate-host-certificates=on tls-cert=${bench.caFile} tls-key=${bench.caKeyFile}
sslcrtd_program ${CERTGEN} -s ${dir}/db -M 4MB
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
pid_filename ${dir}/pid
coredump_dir ${dir}
shutdown_lifetime 0 seconds
workers 1
`,
  );
  const squid = startCommand("squid", ["-N", "-f", file]);
  await untilListening(port);
  return asProxy(bench, "squid", squid, port);
};

const openMitmproxy: OpenPeer = async (bench, dir) => {
  const port = await freePort();
  mkdirSync(join(dir, "conf"));
  const pair = readFileSync(bench.caKeyFile, "utf8") + readFileSync(bench.caFile, "utf8");
  writeFileSync(join(dir, "conf/mitmproxy-ca.pem"), pair);
  const settings = [`confdir=${dir}/conf`, `ssl_verify_upstream_trusted_ca=${bench.caFile}`, "http2=false"];
  const args = ["-q", "--listen-host", "127.0.0.1", "-p", String(port), ...settings.flatMap((one) => ["--set", one])];
  const header = ["--modify-headers", "/~q/Authorization/Bearer real"];
  const mitmproxy = startCommand("mitmdump", [...args, ...header]);
  await untilListening(port);
  return asProxy(bench, "mitmproxy", mitmproxy, port);
};

/** A credential-injecting proxy in Go that reads `proxy`, `tls`, `credentials` and `network` from a file. */
const openGatekeeper: OpenPeer = async (bench, dir) => {
  const port = await freePort();
  const file = join(dir, "gatekeeper.yaml");
  writeFileSync(
    file,
    `proxy: { host: 127.0.0.1, port: ${port} }
tls: { ca_cert: ${bench.caFile}, ca_key: ${bench.caKeyFile} }
credentials: [{ host: ${bench.host}, header: Authorization, grant: bench, source: { type: env, var: BENCH_VALUE } }]
network: { policy: permissive }
log: { level: error, format: text }
`,
  );
  const env = { ...process.env, SSL_CERT_FILE: bench.caFile, BENCH_VALUE: "Bearer real" };
  const gatekeeper = startCommand(process.env.GATEKEEPER_BIN ?? "", ["--config", file], env);
  await untilListening(port);
  return asProxy(bench, "gatekeeper", gatekeeper, port);
};

export const INSTALLED: Readonly<Record<string, Installed>> = {
  nginx: { open: openNginx, isHere: () => existsSync("/usr/sbin/nginx"), hint: "Debian: nginx-light" },
  squid: { open: openSquid, isHere: () => existsSync(CERTGEN), hint: "Debian: squid-openssl" },
  mitmproxy: { open: openMitmproxy, isHere: () => existsSync("/usr/bin/mitmdump"), hint: "Debian: mitmproxy" },
  gatekeeper: {
    open: openGatekeeper,
    isHere: () => existsSync(process.env.GATEKEEPER_BIN ?? ""),
    hint: "name its binary in GATEKEEPER_BIN",
  },
};
