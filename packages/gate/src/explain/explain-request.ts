import {
  normalisePath,
  type PathAmbiguity,
  Problem,
  type ProblemCode,
  parseAuthority,
  toProblem,
} from "@gatehouse/core";
import type { RequestHead } from "../http1/messages.ts";
import { RequestHeadReader } from "../http1/request-head-reader.ts";
import { checkConnect } from "../pipeline/check-connect.ts";
import { newRequestContext } from "../pipeline/new-request-context.ts";
import { parameterName } from "../pipeline/normalise-target.ts";
import type { Refusal, RequestContext, Tunnel } from "../pipeline/request-context.ts";
import { runStages } from "../pipeline/stages.ts";
import { checkAddresses, knownAddresses, type LookUp, lookUpAddresses } from "../upstream/resolve-checked.ts";
import { type CompiledRun, selectInjections } from "../worker/compile-run.ts";

/** A request as a person asks about it. */
export interface AskedRequest {
  readonly method: string;
  /** `http:` or `https:`; a fragment is left out, as clients do. */
  readonly url: string;
}

/** What the gate would do with a request, and why. Holds no value of a credential. */
export interface Explanation {
  readonly action: "allow" | "deny";
  /** The rule that decided; absent where the request was refused before any rule was asked. */
  readonly rule?: string;
  readonly reason?: string;
  /** How the gate would refuse it. */
  readonly code?: ProblemCode;
  /** The request as it is matched and sent. */
  readonly request: {
    readonly method: string;
    readonly scheme: "http" | "https";
    readonly host: string;
    readonly port: number;
    readonly path: string;
    /** Names of its parameters; those that the gate removes are gone. */
    readonly query: readonly string[];
    /** Why its path can be read in two ways. */
    readonly ambiguity?: PathAmbiguity;
  };
  /** Headers that would be set, each with the grant that owns it. */
  readonly injects: readonly { readonly header: string; readonly grant?: string }[];
  /** Headers that would be set if the request came over TLS: no credential is attached to cleartext. Absent: none. */
  readonly withheld?: Explanation["injects"];
  /** The client's own authentication would be removed. */
  readonly strips_client_auth: boolean;
  readonly destination: {
    /** Ranges beside public addresses that rules state for this host and port. */
    readonly ranges: readonly string[];
    /** Absent where no resolver was asked. */
    readonly addresses?: readonly string[];
  };
}

/** What an explanation may know of the world. */
export interface ExplainDeps {
  readonly hosts: Readonly<Record<string, string>>;
  /** Addresses (`ip:port`) of Gatehouse itself. */
  readonly ownAddresses: ReadonlySet<string>;
  /** Absent: names are not looked up. */
  readonly lookUp?: LookUp;
}

/**
 * Takes a request through the checks and stages that every request of the run goes through, without sending it. Fails
 * with `api.malformed` when the URL is none.
 */
export async function explainRequest(run: CompiledRun, asked: AskedRequest, deps: ExplainDeps): Promise<Explanation> {
  if (/^connect$/i.test(asked.method)) {
    throw new Problem("api.malformed", { detail: "Ask about a request inside the tunnel." });
  }
  const url = readUrl(asked.url);
  const tunnel = url.scheme === "https" ? { host: url.host, port: url.port, isTls: true } : undefined;
  const head = readHead(`${asked.method} ${url.target} HTTP/1.1\r\nHost: ${url.authority}\r\n\r\n`);
  if (typeof head === "string")
    return explain({ url, asked, refusal: { code: "gate.ambiguous_request", detail: head } });
  const context = newRequestContext(run, head, tunnel);
  const inside = runStages(context);
  const refusal = (tunnel && refuseTunnel(run, tunnel)) ?? inside;
  return explain({ url, asked, context, ...(await checkDestination({ context, refusal }, deps)) });
}

interface ReadUrl {
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
  /** As it stands in Host. */
  readonly authority: string;
  readonly path: string;
  /** As it stands in the request line. */
  readonly target: string;
}

const MAX_SHOWN = 80;

function readUrl(url: string): ReadUrl {
  const [, written = "", authority = "", rest = ""] = /^(https?):\/\/([^/?#]+)([^#]*)/i.exec(url) ?? [];
  const scheme = written.toLowerCase() === "http" ? "http" : "https";
  const place = parseAuthority(authority, scheme === "http" ? 80 : 443);
  if (place === undefined) {
    // What stands before an @ may be a password.
    const given = url.includes("@") ? "The url" : JSON.stringify(url.slice(0, MAX_SHOWN));
    throw new Problem("api.malformed", { detail: `${given} is no URL such as https://api.example.com/path.` });
  }
  const path = rest.startsWith("/") ? rest : `/${rest}`;
  return { ...place, scheme, authority, path, target: scheme === "http" ? `http://${authority}${path}` : path };
}

/** Read as if it came from a client; a text says why the gate would not read it. */
function readHead(text: string): RequestHead | string {
  const result = new RequestHeadReader().push(Buffer.from(text, "utf8"));
  if (result.kind === "head") return result.head;
  return result.kind === "refused" ? `It cannot be sent as it stands: ${result.why}.` : "It is no request.";
}

/** A client opens a tunnel first. */
function refuseTunnel(run: CompiledRun, { host, port }: Tunnel): Refusal | undefined {
  const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const head = readHead(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  if (typeof head === "string") return { code: "gate.ambiguous_request", detail: head };
  return checkConnect(run, head);
}

interface Decided {
  readonly refusal: Refusal | undefined;
  readonly addresses?: readonly string[];
}

async function checkDestination(
  { context, refusal }: { readonly context: RequestContext; readonly refusal: Refusal | undefined },
  { hosts, ownAddresses, lookUp }: ExplainDeps,
): Promise<Decided> {
  if (refusal !== undefined) return { refusal };
  const { run, host, port } = context;
  const statedRanges = run.policy.addressRanges(host, port);
  let addresses = knownAddresses(host, hosts);
  try {
    if (lookUp !== undefined) addresses ??= await lookUpAddresses(host, lookUp);
    checkAddresses({ host, port, statedRanges }, addresses ?? [], ownAddresses);
    return { refusal: undefined, ...(addresses === undefined ? {} : { addresses }) };
  } catch (thrown) {
    const { code, detail = "" } = toProblem(thrown);
    const rule = context.rule === undefined ? {} : { rule: context.rule };
    return { refusal: { code, detail, ...rule }, ...(addresses === undefined ? {} : { addresses }) };
  }
}

interface Explained extends Decided {
  readonly url: ReadUrl;
  readonly asked: AskedRequest;
  readonly context?: RequestContext;
}

function explain({ url, asked, context, refusal, addresses }: Explained): Explanation {
  const withheld = refusal === undefined && context !== undefined ? withheldIn(context) : [];
  return {
    ...decisionOf(refusal, context),
    request: describeRequest(url, asked, context),
    injects: refusal === undefined && context !== undefined ? injected(context) : [],
    ...(withheld.length === 0 ? {} : { withheld }),
    strips_client_auth: context?.stripsClientAuth ?? false,
    destination: {
      ranges: context?.run.policy.addressRanges(url.host, url.port) ?? [],
      ...(addresses === undefined ? {} : { addresses }),
    },
  };
}

type Decision = Pick<Explanation, "action" | "rule" | "reason" | "code">;

function decisionOf(refusal: Refusal | undefined, context: RequestContext | undefined): Decision {
  const rule = refusal === undefined ? context?.rule : refusal.rule;
  const decided = rule === undefined ? {} : { rule };
  if (refusal === undefined) return { action: "allow", ...decided };
  return { action: "deny", ...decided, reason: refusal.detail, code: refusal.code };
}

/** As the stages left it; where they never began, as it was written. */
function describeRequest(
  url: ReadUrl,
  { method }: AskedRequest,
  context: RequestContext | undefined,
): Explanation["request"] {
  const { scheme, host, port } = url;
  const { ambiguity, ...written } = normalisePath(url.path);
  const { path, query } = context ?? written;
  const names = query?.split("&").map(parameterName) ?? [];
  return { method, scheme, host, port, path, query: names, ...(ambiguity === undefined ? {} : { ambiguity }) };
}

function injected({ carried }: RequestContext): Explanation["injects"] {
  return carried.map(nameInjection);
}

function withheldIn(context: RequestContext): Explanation["injects"] {
  if (context.isTls) return [];
  const attached = new Set(context.carried.map(({ header }) => header));
  return selectInjections(context.plan, { ...context, isTls: true })
    .filter(({ header }) => !attached.has(header))
    .map(nameInjection);
}

function nameInjection({ header, grant }: RequestContext["carried"][number]): Explanation["injects"][number] {
  return { header, ...(grant === undefined ? {} : { grant }) };
}
