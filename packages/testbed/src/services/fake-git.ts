import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProcess } from "../system/run-process.ts";
import { type LoopbackPlace, type LoopbackServer, openLoopbackServer } from "./loopback-server.ts";
import type { TestAuthority } from "./test-authority.ts";

export interface FakeGitOptions {
  readonly authority: TestAuthority;
  /** The whole `Authorization` value; any other gets 401 with a Basic challenge. */
  readonly expects: string;
  readonly at?: LoopbackPlace | undefined;
}

/** A git host with one repository, `/project.git`, whose branch `main` holds `README.md`. */
export interface FakeGit extends LoopbackServer {
  /** `Authorization` of every request in order; `undefined` where there was none. */
  readonly authorizations: readonly (string | undefined)[];
  /** Subjects of the commits on a branch, newest first; empty when the branch is not there. */
  subjects(branch: string): Promise<readonly string[]>;
}

/** Serves the smart HTTP protocol through git's own CGI program; clone and push. */
export async function openFakeGit(options: FakeGitOptions): Promise<FakeGit> {
  const root = await mkdtemp(join(tmpdir(), "fake-git-"));
  const repository = join(root, "project.git");
  await createRepository(root, repository);
  const authorizations: (string | undefined)[] = [];
  const server = await openLoopbackServer((request, response) => {
    authorizations.push(request.headers.authorization);
    if (request.headers.authorization !== options.expects) challenge(response);
    else serveByCgi(root, request, response);
  }, options);
  return {
    get port() {
      return server.port;
    },
    get connections() {
      return server.connections;
    },
    authorizations,
    subjects: async (branch) => {
      const { stdout } = await git(["--git-dir", repository, "log", "--format=%s", branch]);
      return stdout.split("\n").filter((line) => line !== "");
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await rm(root, { recursive: true, force: true });
    },
  };
}

const AUTHOR = ["-c", "user.name=Ada", "-c", "user.email=ada@example.test"] as const;
const ENVIRONMENT = { PATH: process.env.PATH ?? "/usr/bin:/bin", HOME: "/nonexistent", GIT_CONFIG_NOSYSTEM: "1" };

function git(args: readonly string[]) {
  return runProcess("git", args, { env: ENVIRONMENT });
}

async function createRepository(root: string, repository: string): Promise<void> {
  const source = join(root, "source");
  await mkdir(source);
  await writeFile(join(source, "README.md"), "A project.\n");
  const steps = [
    ["init", "--quiet", "--initial-branch=main", source],
    ["-C", source, "add", "README.md"],
    [...AUTHOR, "-C", source, "commit", "--quiet", "-m", "Begin"],
    ["clone", "--quiet", "--bare", source, repository],
    ["--git-dir", repository, "config", "http.receivepack", "true"],
  ];
  for (const step of steps) {
    const { code, stderr } = await git(step);
    if (code !== 0) throw new Error(`git ${step.join(" ")}: ${stderr}`);
  }
}

function challenge(response: ServerResponse): void {
  response.writeHead(401, { "www-authenticate": 'Basic realm="fake git"', "content-length": 0 });
  response.end();
}

/** One request through git-http-backend (RFC 3875). */
function serveByCgi(root: string, request: IncomingMessage, response: ServerResponse): void {
  const [path = "", query = ""] = (request.url ?? "").split("?");
  const child = spawn("git", ["http-backend"], {
    stdio: ["pipe", "pipe", "ignore"],
    env: {
      ...ENVIRONMENT,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: decodeURIComponent(path),
      QUERY_STRING: query,
      REQUEST_METHOD: request.method ?? "",
      REMOTE_USER: "ada",
      REMOTE_ADDR: "127.0.0.1",
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      CONTENT_LENGTH: request.headers["content-length"] ?? "",
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
      GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
    },
  });
  // A backend that needs no more input closes it early; the pipe's error is not a failure.
  child.stdin.on("error", () => request.resume());
  request.pipe(child.stdin);
  response.on("close", () => child.kill());
  relayCgi(child.stdout, response).catch(() => response.destroy());
}

async function relayCgi(output: NodeJS.ReadableStream, response: ServerResponse): Promise<void> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const part of output) {
    if (head === undefined) {
      response.write(part);
      continue;
    }
    head = Buffer.concat([head, part as Buffer]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) continue;
    writeHead(head.subarray(0, end).toString(), response);
    response.write(head.subarray(end + 4));
    head = undefined;
  }
  response.end();
}

function writeHead(head: string, response: ServerResponse): void {
  const fields = head.split("\r\n").map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
  const status = fields.find(([name]) => name.toLowerCase() === "status")?.[1] ?? "200";
  for (const [name, value] of fields) if (name.toLowerCase() !== "status") response.setHeader(name, value);
  response.writeHead(Number.parseInt(status, 10));
}
