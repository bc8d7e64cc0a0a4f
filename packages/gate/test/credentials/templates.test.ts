import { compilePolicy, systemRandom } from "@gatehouse/core";
import { expect, test } from "vitest";
import { makePlaceholder } from "../../src/credentials/placeholder.ts";
import { loadTemplates } from "../../src/credentials/templates.ts";

const templates = await loadTemplates();

test("the promised services are there", () => {
  const promised = [
    "anthropic",
    "gemini",
    "github",
    "gitlab",
    "linear",
    "npm",
    "openai",
    "pypi",
    "sentry",
    "slack",
    "stripe",
  ];
  expect([...templates.keys()].sort()).toEqual(promised);
});

test.each([...templates.values()])("$service: its hosts, closed endpoints and placeholder can be used", (template) => {
  const guards = [...template.denied, ...template.batch].map(({ hosts, methods, paths }) => ({
    action: "deny" as const,
    hosts,
    paths,
    ...(methods === undefined ? {} : { methods }),
  }));
  const allow = [...template.bindings.flatMap(({ hosts }) => hosts), ...template.allow];
  expect(() => compilePolicy({ mode: "strict", guards, allow })).not.toThrow();
  expect(makePlaceholder(template.placeholder, systemRandom)).toMatch(/^[\x21-\x7e]{16,}$/);
});

test.each([
  ["github", "api.github.com", "POST", "/app/installations/7/access_tokens"],
  ["npm", "registry.npmjs.org", "POST", "/-/npm/v1/tokens"],
  ["npm", "registry.npmjs.org", "GET", "/-%2fnpm/v1/tokens"],
  ["gitlab", "gitlab.com", "POST", "/api/v4/projects/a%2Fb/access_tokens"],
  ["gitlab", "gitlab.com", "POST", "/api/v4/projects/7/access_tokens.json"],
  ["gitlab", "gitlab.com", "GET", "/api/v4/groups/a%2Fb/variables"],
  ["gitlab", "gitlab.com", "POST", "/api/v4/groups/7/service_accounts/9/personal_access_tokens/3/rotate"],
  ["gitlab", "gitlab.com", "GET", "/jwt/auth?service=container_registry"],
  ["github", "api.github.com", "POST", "/repositories/7/keys"],
  ["github", "api.github.com", "POST", "/Repos/acme/site/Keys"],
  ["github", "api.github.com", "POST", "/organizations/7/actions/runners/registration-token"],
  ["github", "api.github.com", "POST", "/repos/acme/site/actions/runners/generate-jitconfig"],
  ["gemini", "generativelanguage.googleapis.com", "POST", "/v1beta/auth_tokens"],
  ["gemini", "generativelanguage.googleapis.com", "POST", "/%24rpc/google.ai.Any/Make"],
  ["slack", "slack.com", "POST", "/api/rtm.connect"],
  ["openai", "api.openai.com", "POST", "/v1/organization/admin_api_keys"],
])("%s: %s %s %s hands out credentials and stays closed", (service, host, method, path) => {
  const template = templates.get(service);
  const guards = (template?.denied ?? []).map(({ hosts, methods, paths }) => ({
    action: "deny" as const,
    hosts,
    paths,
    ...(methods === undefined ? {} : { methods }),
  }));
  const policy = compilePolicy({ mode: "strict", guards, allow: [host] });
  expect(policy.decide({ host, port: 443, method, path }).action).toBe("deny");
});

test("placeholders are random and never the same twice", () => {
  const made = new Set(Array.from({ length: 100 }, () => makePlaceholder({ prefix: "p-", length: 40 }, systemRandom)));
  expect(made.size).toBe(100);
});
