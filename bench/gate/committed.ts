import { readFileSync } from "node:fs";
import type { Row } from "../row.ts";
import type { WarmResults } from "./cases/warm.ts";

/** What the gate costs beside the relay, as it was when somebody last looked and agreed. */
interface Committed {
  readonly cpuToRelay: number;
  readonly p99ToRelay: number;
}

const MAX_CPU_GROWTH = 1.3;
const MAX_P99_GROWTH = 2;

/** The two rows by which a change is judged: they fail when the gate became that much dearer. */
export function committedRows(results: WarmResults): Row[] {
  const committed = JSON.parse(readFileSync(new URL("./committed.json", import.meta.url), "utf8")) as Committed;
  const toRelay = (figure: "cpuUs" | "p99Ms") =>
    results.across(["gate", "relay"], { connections: 32, figure, combine: (a, b) => a / b });
  const round = (value: number) => Math.round(value * 100) / 100;
  return [
    {
      case: "CPU per request: gate / relay, beside what was committed",
      value: toRelay("cpuUs"),
      unit: "×",
      target: { atMost: round(committed.cpuToRelay * MAX_CPU_GROWTH) },
    },
    {
      case: "32 connections: p99: gate / relay, beside what was committed",
      value: toRelay("p99Ms"),
      unit: "×",
      target: { atMost: round(committed.p99ToRelay * MAX_P99_GROWTH) },
    },
  ];
}
