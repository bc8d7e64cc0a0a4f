// node bench/policy/decide.ts — what one policy decision costs among a thousand rules.
import { compilePolicy, type PolicyRequest, type PolicyRule } from "@gatehouse/core";
import { holds, type Row } from "../row.ts";

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

const rows = Object.entries(CASES).map(([name, rule]): Row => {
  const policy = compilePolicy({ rules: Array.from({ length: RULES }, (_, at) => rule(at)) });
  const decide = (times: number) => {
    for (let count = 0; count < times; count += 1) policy.decide(aboutLast);
  };
  if (policy.decide(aboutLast).rule !== `rules[${RULES - 1}]`) throw new Error(`${name}: another rule decided`);
  decide(WARM_UP);
  const started = performance.now();
  decide(DECISIONS);
  const microseconds = ((performance.now() - started) * 1_000) / DECISIONS;
  return { case: `policy: ${name}`, value: Math.round(microseconds * 100) / 100, unit: "µs", atMost: 20 };
});

for (const row of rows) console.log(`${holds(row) ? "  " : "! "}${row.case.padEnd(64)} ${row.value} ${row.unit} <= 20`);
if (!rows.every(holds)) process.exitCode = 1;
