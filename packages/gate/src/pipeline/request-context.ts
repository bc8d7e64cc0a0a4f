import type { ProblemCode } from "@gatehouse/core";
import type { Field, RequestHead } from "../http1/messages.ts";
import type { McpServer } from "../snapshot/mcp-server.ts";
import type { Injection } from "../snapshot/run-snapshot.ts";
import type { CompiledRun, HostPlan } from "../worker/compile-run.ts";

/** Where a request goes whose target does not say it: the tunnel that it came in, or the MCP server that it named. */
export interface Tunnel {
  readonly host: string;
  readonly port: number;
  /** TLS was intercepted inside the tunnel, or is spoken with the MCP server. */
  readonly isTls: boolean;
  readonly mcpServer?: McpServer;
}

/** One request on its way through the stages. Stages fill it in order; later ones rely on earlier ones. */
export interface RequestContext {
  readonly run: CompiledRun;
  readonly head: RequestHead;
  readonly tunnel: Tunnel | undefined;
  host: string;
  port: number;
  isTls: boolean;
  /** Normalised path, without query. */
  path: string;
  query: string | undefined;
  /** Protocol that the client may switch to, in lower case. */
  upgrade: string | undefined;
  plan: HostPlan;
  /** The rule that allows the request lets the sandbox's own authentication go along. */
  keepsClientAuth: boolean;
  /** The sandbox's own authentication was removed. */
  stripsClientAuth: boolean;
  rule: string | undefined;
  /** End-to-end fields as they will be sent, framing and Host apart. */
  fields: Field[];
  /** Fields in which a slot was filled: they stay, whatever else is removed. */
  filled: ReadonlySet<Field>;
  /** The credentials that it carries. */
  readonly carried: Pick<Injection, "grant" | "header">[];
}

/** Why a request goes no further. */
export interface Refusal {
  readonly code: ProblemCode;
  readonly detail: string;
  readonly rule?: string | undefined;
  readonly allowHint?: string;
}

/** One step; `undefined` lets the request go on. */
export type Stage = (context: RequestContext) => Refusal | undefined;
