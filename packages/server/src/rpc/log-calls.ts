import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { type Clock, PROBLEMS, toProblem } from "@gatehouse/core";
import type { Log } from "@gatehouse/kit";
import { callerRow, loggable } from "@gatehouse/wire";
import type { ServerCounters } from "../metrics.ts";
import { PEER_ADDRESS } from "./caller.ts";
import { passAlong } from "./pass-along.ts";
import { toConnectError } from "./problem-error.ts";

type Called = Parameters<ReturnType<Interceptor>>[0];

export interface LogCallsDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly counters: Pick<ServerCounters, "countCall">;
}

/** One line for each call when it is answered, with what its log class lets be seen; turns failures into errors. */
export function logCalls({ log, clock, counters }: LogCallsDeps): Interceptor {
  return (next) => async (request) => {
    const startedMs = clock.monotonicMs();
    const own = {
      rpc: `${request.service.typeName}/${request.method.name}`,
      peer: request.contextValues.get(PEER_ADDRESS),
    };
    const report = (failure: unknown) => {
      if (failure instanceof ConnectError) {
        counters.countCall(own.rpc, Code[failure.code]);
        log.info("call refused", { ...own, code: Code[failure.code] });
        return failure;
      }
      const { code } = toProblem(failure);
      counters.countCall(own.rpc, code);
      if (PROBLEMS[code].rpc === "internal") log.error("call failed", { ...own, error: failure });
      else log.info("call refused", { ...own, code });
      return toConnectError(failure);
    };
    try {
      const response = await next(request);
      counters.countCall(own.rpc, "ok");
      // A stream fails after its call was answered: the same report, later.
      if (response.stream) return { ...response, message: passAlong(response.message, { onFailure: report }) };
      log.debug("call answered", {
        ...own,
        body: bodyOf(request),
        durationMs: Math.round(clock.monotonicMs() - startedMs),
      });
      return response;
    } catch (failure) {
      throw report(failure);
    }
  };
}

function bodyOf(request: Called): object | undefined {
  const row = callerRow(request.service.typeName, request.method.localName);
  return request.stream ? undefined : loggable(request.method.input, request.message, row?.log ?? "suppress");
}
