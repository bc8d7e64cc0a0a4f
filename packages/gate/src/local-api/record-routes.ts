import type { Route } from "@gatehouse/kit";
import type { ApiContext } from "./api-context.ts";

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 100_000;

/** `GET /v1/records?follow&run=ID&limit=N`: one JSON object on a line. */
export function recordRoutes({ records }: ApiContext): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/v1/records",
      handle: ({ query, signal }) => ({
        status: 200,
        lines: records.read({
          run: query.get("run") ?? undefined,
          limit: limitOf(query.get("limit")),
          follows: query.has("follow"),
          signal,
        }),
      }),
    },
  ];
}

function limitOf(text: string | null): number {
  const limit = Number(text ?? DEFAULT_LIMIT);
  return Number.isInteger(limit) && limit >= 0 && limit <= MAX_LIMIT ? limit : DEFAULT_LIMIT;
}
