import {
  openFakeApi,
  openFakeGit,
  openFakeNpmRegistry,
  plantValue,
  type Respond,
  sendJson,
  type World,
} from "@gatehouse/testbed";
import type { ServicePlace } from "./client.ts";
import { type ClientService, serve, shownIn } from "./services.ts";

/** Names of real services at which fakes stand in these tests. */
export const REAL_NAMES = [
  "github.com",
  "api.github.com",
  "registry.npmjs.org",
  "api.anthropic.com",
  "api.openai.com",
  "gatehouse-test.s3.us-east-1.amazonaws.com",
] as const;

/** Stores a value under a built-in template, as `gatehouse grant SERVICE` does; returns the grant's name. */
async function grantService(world: World, service: string, value: string): Promise<string> {
  const name = `${service}-${value.slice(-8)}`;
  const { code, stderr } = await world.cli(["grant", service, "--name", name], { stdin: value });
  if (code !== 0) throw new Error(`grant ${service}: ${stderr}`);
  return name;
}

/** Where the real service's name leads. */
const real = (place: ServicePlace, name: string) => ({ address: place.addressOf(name), port: 443 });

/** github.com: git over HTTP. */
export async function openGithubGit(place: ServicePlace): Promise<ClientService> {
  const { world } = place;
  const value = plantValue("ghp_");
  const name = "github.com";
  const expects = `Basic ${btoa(`x-access-token:${value}`)}`;
  const fake = await openFakeGit({ authority: world.authority, expects, at: real(place, name) });
  const grants = [await grantService(world, "github", value)];
  return serve({ place, fake, name, value, grants, shown: () => fake.authorizations, expects });
}

/** api.github.com, as far as the rows go. */
export async function openGithubApi(place: ServicePlace): Promise<ClientService> {
  const respond: Respond = ({ method, url, body }, response) => {
    if (url === "/user") sendJson(response, 200, { login: "octo-fake" });
    else if (url === "/graphql") sendJson(response, 200, { data: { viewer: { login: "octo-fake" } } });
    else if (method === "POST") sendJson(response, 201, { number: 7, title: titleIn(body) });
    else sendJson(response, 404, { message: "Not Found" });
    return true;
  };
  return openNamedApi(place, { service: "github", name: "api.github.com", prefix: "ghp_", respond });
}

function titleIn(body: string): unknown {
  return (JSON.parse(body) as { readonly title?: unknown }).title;
}

/** registry.npmjs.org. */
export async function openNpm(place: ServicePlace): Promise<ClientService> {
  const { world } = place;
  const value = plantValue("npm_");
  const name = "registry.npmjs.org";
  const expects = `Bearer ${value}`;
  const where = { origin: `https://${name}`, at: real(place, name) };
  const api = await openFakeNpmRegistry({ authority: world.authority, expects, ...where });
  const grants = [await grantService(world, "npm", value)];
  return serve({ place, fake: api, name, value, grants, shown: shownIn(api), expects });
}

/** api.anthropic.com: a message at once, or as a stream of events. */
export function openAnthropic(place: ServicePlace): Promise<ClientService> {
  const message = { id: "msg_1", type: "message", role: "assistant", model: "fake", stop_reason: "end_turn" };
  const usage = { input_tokens: 1, output_tokens: 2 };
  const events = [
    { type: "message_start", message: { ...message, content: [], usage } },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "hello " } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "agent" } },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn" }, usage },
    { type: "message_stop" },
  ];
  const respond: Respond = ({ body }, response) => {
    const lines = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}`);
    if (isStreamed(body)) sendEvents(response, lines);
    else sendJson(response, 200, { ...message, content: [{ type: "text", text: "hello agent" }], usage });
    return true;
  };
  const where = { service: "anthropic", name: "api.anthropic.com", prefix: "sk-ant-api03-" };
  return openNamedApi(place, { ...where, respond });
}

/** api.openai.com: a chat completion at once, or as a stream of events. */
export function openOpenai(place: ServicePlace): Promise<ClientService> {
  const base = { id: "chatcmpl-1", created: 1, model: "fake" };
  const chunk = (content: string) => {
    const choices = [{ index: 0, delta: { content } }];
    return `data: ${JSON.stringify({ ...base, object: "chat.completion.chunk", choices })}`;
  };
  const choice = { index: 0, finish_reason: "stop", message: { role: "assistant", content: "hello agent" } };
  const respond: Respond = ({ body }, response) => {
    if (isStreamed(body)) sendEvents(response, [chunk("hello "), chunk("agent"), "data: [DONE]"]);
    else sendJson(response, 200, { ...base, object: "chat.completion", choices: [choice] });
    return true;
  };
  return openNamedApi(place, { service: "openai", name: "api.openai.com", prefix: "sk-proj-", respond });
}

interface NamedApi {
  readonly service: string;
  readonly name: string;
  readonly prefix: string;
  readonly respond: Respond;
}

async function openNamedApi(place: ServicePlace, named: NamedApi): Promise<ClientService> {
  const { service, name, prefix, respond } = named;
  const { world } = place;
  const value = plantValue(prefix);
  const expects = `Bearer ${value}`;
  const api = await openFakeApi({ authority: world.authority, expects, respond, at: real(place, name) });
  const grants = [await grantService(world, service, value)];
  return serve({ place, fake: api, name, value, grants, shown: shownIn(api), expects });
}

function isStreamed(body: string): boolean {
  return (JSON.parse(body) as { readonly stream?: unknown }).stream === true;
}

/** Server-sent events without a stated length, one write each. */
function sendEvents(response: Parameters<Respond>[1], events: readonly string[]): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const event of events) response.write(`${event}\n\n`);
  response.end();
}
