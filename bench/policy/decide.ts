// What one policy decision costs among a thousand rules.
import { compilePolicy, type PolicyRequest, type PolicyRule } from "@gatehouse/core";
import type { Row } from "../row.ts";

const RULES = 1_000;
const WARM_UP = 20_000;
const DECISIONS = 50_000;

const aboutLast: PolicyRequest = { host: "h999.example.com", port: 443, method: "GET", path: "/p999/x/y?z=1" };
const CASES: Readonly<Record<string, (at: number) => PolicyRule>> = {
  "1,000 rules about 1,000 hosts": (at) => ({ action: "allow", hosts: [`h${at}.example.com`], paths: [`/p${at}/**`] }),
  "1,000 wildcard rules": (at) => ({ action: "allow", hosts: [`*.h${at}.example.com`, `h${at}.example.com`] }),
  "1,000 rules about one host, the last one matches": (at) => ({
    action: "allow",
    hosts: [aboutLast.host],
    methods: ["GET"],
    paths: [`/p${at}/**`],
  }),
};

/** One decision of the last of a thousand rules, for three kinds of rules. */
export function benchPolicy(): Promise<Row[]> {
  return Promise.resolve(Object.entries(CASES).map(([name, rule]) => decisionRow(name, rule)));
}

function decisionRow(name: string, rule: (at: number) => PolicyRule): Row {
  const policy = compilePolicy({ rules: Array.from({ length: RULES }, (_, at) => rule(at)) });
  const decide = (times: number) => {
    for (let count = 0; count < times; count += 1) policy.decide(aboutLast);
  };
  if (policy.decide(aboutLast).rule !== `rules[${RULES - 1}]`) throw new Error(`${name}: another rule decided`);
  decide(WARM_UP);
  const started = performance.now();
  decide(DECISIONS);
  const microseconds = ((performance.now() - started) * 1_000) / DECISIONS;
  return { case: `policy: ${name}`, value: microseconds, unit: "µs", target: { atMost: 20 } };
}
