import {
  CA_BUNDLE,
  type DriverName,
  JAVA_TRUST_STORE,
  SANDBOX_GATE_PORT,
  SANDBOX_HOME,
  SANDBOX_OWN,
  SANDBOX_PATH,
} from "../sandbox/driver.ts";

/** What a run's variables are made of. */
export interface EnvironmentParts {
  readonly token: string;
  /** Port at which the gate is found from where the run is. */
  readonly gatePort: number;
  readonly caBundle: string;
  /** The same authorities as a Java key store. */
  readonly trustStore: string;
  /** Loopback must go through the gate too: a rule states it. */
  readonly statesLoopback: boolean;
  /** Placeholders of the grants. */
  readonly placeholders: Readonly<Record<string, string>>;
  /** What the caller asked for. */
  readonly asked: Readonly<Record<string, string>>;
}

const CA_VARIABLES = [
  "SSL_CERT_FILE",
  "NODE_EXTRA_CA_CERTS",
  "REQUESTS_CA_BUNDLE",
  "CURL_CA_BUNDLE",
  "GIT_SSL_CAINFO",
  "AWS_CA_BUNDLE",
  "CARGO_HTTP_CAINFO",
  "DENO_CERT",
  "PIP_CERT",
];

/** Variables by which clients find the gate and trust it, and nothing else of the caller's environment. */
export function gateEnvironment(parts: EnvironmentParts): Record<string, string> {
  const proxy = `http://run:${parts.token}@127.0.0.1:${parts.gatePort}`;
  const noProxy = parts.statesLoopback ? "" : "localhost,127.0.0.1,::1";
  const variables: Record<string, string> = { NODE_USE_ENV_PROXY: "1" };
  for (const name of ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"]) {
    variables[name] = proxy;
    variables[name.toLowerCase()] = proxy;
  }
  variables.NO_PROXY = noProxy;
  variables.no_proxy = noProxy;
  for (const name of CA_VARIABLES) variables[name] = parts.caBundle;
  variables.JAVA_TOOL_OPTIONS = javaOptions(parts);
  return { ...variables, ...parts.placeholders, ...parts.asked };
}

/**
 * Java knows no proxy variables and no PEM files. Its runtimes refuse Basic to a proxy in front of a tunnel unless told
 * otherwise; here the proxy is on loopback. The token is not among the options: they are printed at every start, so a
 * program takes it from HTTPS_PROXY.
 */
function javaOptions({ gatePort, trustStore, statesLoopback }: EnvironmentParts): string {
  const proxy = ["http", "https"].flatMap((scheme) => [
    `-D${scheme}.proxyHost=127.0.0.1`,
    `-D${scheme}.proxyPort=${gatePort}`,
  ]);
  return [
    ...proxy,
    `-Dhttp.nonProxyHosts=${statesLoopback ? "" : "localhost|127.*|[::1]"}`,
    "-Djdk.http.auth.tunneling.disabledSchemes=",
    `-Djavax.net.ssl.trustStore=${trustStore}`,
    "-Djavax.net.ssl.trustStoreType=jks",
  ].join(" ");
}

/** The whole environment inside a sandbox, but for what the caller's terminal says of itself. */
export function sandboxEnvironment(
  parts: Omit<EnvironmentParts, "gatePort" | "caBundle" | "trustStore">,
): Record<string, string> {
  return {
    PATH: SANDBOX_PATH,
    HOME: SANDBOX_HOME,
    USER: "agent",
    LOGNAME: "agent",
    SHELL: "/bin/sh",
    ...gateEnvironment({
      ...parts,
      gatePort: SANDBOX_GATE_PORT,
      caBundle: `${SANDBOX_OWN}/${CA_BUNDLE}`,
      trustStore: `${SANDBOX_OWN}/${JAVA_TRUST_STORE}`,
    }),
  };
}

const TERMINAL = ["LANG", "LANGUAGE", "TERM", "COLORTERM", "TZ"];
const USER = ["PATH", "HOME", "USER", "LOGNAME", "SHELL"];

/**
 * What a run takes from the environment of whoever started it: how text is shown, and, without a sandbox, who that is.
 */
export function callerEnvironment(driver: DriverName, env: NodeJS.ProcessEnv): Record<string, string> {
  const names = driver === "process" ? [...TERMINAL, ...USER] : TERMINAL;
  const taken = Object.entries(env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && (names.includes(entry[0]) || entry[0].startsWith("LC_")),
  );
  return { LANG: "C.UTF-8", ...Object.fromEntries(taken) };
}
