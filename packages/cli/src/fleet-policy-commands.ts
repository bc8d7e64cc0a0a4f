import type { Command } from "commander";
import { collect, declare } from "./declare-command.ts";

/** The policies of an organisation, on an operator's machine. */
export function addFleetPolicyCommands(policy: Command): void {
  const load = () => import("./commands/fleet-policies.ts");
  declare(policy, "ls", "list the policies of your organisation", async () => (await load()).listPolicies).option(
    "--json",
    "print JSON",
  );
  declare(
    policy,
    "show",
    "print a policy of your organisation as a file that apply takes",
    async () => (await load()).showPolicy,
  )
    .argument("<name>", "name of the policy")
    .option("--version <number>", "a version of before (default: the one that holds)")
    .option("--json", "print JSON");
  const apply = "put the next version of a policy that holds runs on your organisation's nodes";
  declare(policy, "apply", apply, async () => (await load()).applyPolicy)
    .argument("<name>", "name of the policy")
    .argument("<file>", "policy file, - for standard input")
    .option("--expect <number>", "refuse unless this version holds (0: none)")
    .option("--json", "print JSON");
  declare(
    policy,
    "history",
    "list the versions of a policy, also of one that was taken away",
    async () => (await load()).policyHistory,
  )
    .argument("<name>", "name of the policy")
    .option("--json", "print JSON");
  declare(policy, "assign", "say which nodes a policy holds", async () => (await load()).assignPolicy)
    .argument("<name>", "name of the policy")
    .option("--label <key=value>", "nodes with this label (repeat: with all of them)", collect, [])
    .option("--all", "every node")
    .option("--json", "print JSON");
  declare(policy, "rm", "take a policy of your organisation away", async () => (await load()).deletePolicy)
    .argument("<name>", "name of the policy")
    .option("--json", "print JSON");
}
