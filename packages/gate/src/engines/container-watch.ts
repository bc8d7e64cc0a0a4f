import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "@gatehouse/kit";
import type { RegisteredRun } from "../registry/registered-run.ts";
import type { Engine, EngineContainer } from "./engine.ts";

/** The runs whose containers are watched, and what becomes of them. */
export interface ContainerRuns {
  list(): readonly RegisteredRun[];
  /** The run's connections may come from these addresses alone. Nothing happens when the run has changed meanwhile. */
  noteAddresses(run: RegisteredRun, addresses: readonly string[]): Promise<void>;
  /** The run's container is gone. Nothing happens when the run has changed meanwhile. */
  endGone(run: RegisteredRun): Promise<void>;
}

export interface ContainerWatchOptions {
  readonly engines: readonly Engine[];
  readonly runs: ContainerRuns;
  readonly log: Log;
}

const MAX_STRIKES = 3;
/** An id may be shortened to this many characters, as engines print it. */
const SHORT_ID = /^[0-9a-f]{12,64}$/;

interface Answer {
  readonly engine: Engine;
  /** Absent: it did not answer. */
  readonly containers: readonly EngineContainer[] | undefined;
}

/**
 * Ends runs whose containers are gone. A container is gone only when its engine answers and does not list it as living;
 * an engine that fails ends nothing. One that its answering engine cannot speak for three times in a row is gone too.
 */
export class ContainerWatch implements AsyncDisposable {
  readonly #options: ContainerWatchOptions;
  readonly #closing = new AbortController();
  /** Where a run's container was seen: from then on that engine's word alone counts. By run id. */
  readonly #homes = new Map<string, Engine>();
  readonly #strikes = new Map<string, number>();
  readonly #followed = new Map<Engine, Promise<void>>();
  #looking: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(options: ContainerWatchOptions) {
    this.#options = options;
  }

  /** Every half a minute: looks, counts what fails, and listens again to engines that broke off. */
  async tick(): Promise<void> {
    await this.#look(true);
  }

  /** Looks now. Calls that come during a look share the next one, so a burst of events costs two. */
  look(): Promise<void> {
    if (this.#looking === undefined) return this.#begin();
    const follow = () => this.#begin();
    this.#next ??= this.#looking.then(follow, follow);
    return this.#next;
  }

  /** `look`, waited for no longer than this: an engine that hangs must not hold a caller up. */
  async lookWithin(timeoutMs: number): Promise<void> {
    const done = new AbortController();
    const late = delay(timeoutMs, undefined, { signal: done.signal }).catch(() => undefined);
    await Promise.race([this.look(), late]);
    done.abort();
  }

  #begin(): Promise<void> {
    this.#next = undefined;
    const looking = this.#look(false).finally(() => {
      if (this.#looking === looking) this.#looking = undefined;
    });
    this.#looking = looking;
    return looking;
  }

  async #look(countsStrikes: boolean): Promise<void> {
    const { engines, runs } = this.#options;
    // Taken before the engines are asked: what is named meanwhile is not judged by an older list.
    const watched = runs.list().filter(({ containerId }) => containerId !== undefined);
    this.#forget(new Set(watched.map(({ runId }) => runId)));
    if (watched.length === 0 || this.#closing.signal.aborted) return;
    const answers = (await Promise.all(engines.map((engine) => this.#ask(engine)))).flat();
    for (const run of watched) await this.#judge(run, answers, countsStrikes);
  }

  async #ask(engine: Engine): Promise<readonly Answer[]> {
    if (!(await engine.isThere())) return [];
    this.#follow(engine);
    try {
      return [{ engine, containers: await engine.listContainers(this.#closing.signal) }];
    } catch (failure) {
      this.#options.log.warn("a container engine does not answer", { engine: engine.name, failure });
      return [{ engine, containers: undefined }];
    }
  }

  async #judge(run: RegisteredRun, answers: readonly Answer[], countsStrikes: boolean): Promise<void> {
    const found = this.#find(run, answers);
    if (found === "unknown") return;
    if (found !== "gone" && found.state === "live") {
      this.#strikes.delete(run.runId);
      return this.#attempt(run, () => this.#options.runs.noteAddresses(run, found.addresses));
    }
    if (found !== "gone" && found.state === "failing" && !this.#isOut(run.runId, countsStrikes)) return;
    this.#options.log.info("a run's container is gone", { runId: run.runId, containerId: run.containerId });
    await this.#attempt(run, () => this.#options.runs.endGone(run));
  }

  /** The run's container; `gone` only when everyone who could know it has answered. */
  #find({ runId, containerId = "" }: RegisteredRun, answers: readonly Answer[]): EngineContainer | "gone" | "unknown" {
    const home = this.#homes.get(runId);
    const asked = home === undefined ? answers : answers.filter(({ engine }) => engine === home);
    const seen = asked.flatMap(({ engine, containers = [] }) =>
      containers.filter((one) => isNamed(one, containerId)).map((container) => ({ engine, container })),
    );
    const found = seen.find(({ container }) => container.state === "live") ?? seen[0];
    if (found !== undefined) {
      this.#homes.set(runId, found.engine);
      return found.container;
    }
    const isCertain = asked.length > 0 && asked.every(({ containers }) => containers !== undefined);
    return isCertain ? "gone" : "unknown";
  }

  #isOut(runId: string, countsStrikes: boolean): boolean {
    if (!countsStrikes) return false;
    const strikes = (this.#strikes.get(runId) ?? 0) + 1;
    this.#strikes.set(runId, strikes);
    return strikes >= MAX_STRIKES;
  }

  /** What fails for one run must not keep the others waiting; the next look tries again. */
  async #attempt({ runId }: RegisteredRun, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (failure) {
      this.#options.log.error("a run could not follow its container", { runId, failure });
    }
  }

  #forget(live: ReadonlySet<string>): void {
    for (const kept of [this.#homes, this.#strikes]) {
      for (const runId of [...kept.keys()]) if (!live.has(runId)) kept.delete(runId);
    }
  }

  /** Each event only says when to look. A stream that breaks is opened again by a later look. */
  #follow(engine: Engine): void {
    if (this.#followed.has(engine)) return;
    const following = this.#listen(engine).finally(() => this.#followed.delete(engine));
    this.#followed.set(engine, following);
  }

  async #listen(engine: Engine): Promise<void> {
    try {
      for await (const _event of engine.events(this.#closing.signal)) void this.look();
    } catch (failure) {
      if (!this.#closing.signal.aborted) {
        this.#options.log.debug("a container engine's events broke off", { engine: engine.name, failure });
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new DOMException("closing", "AbortError"));
    await Promise.allSettled([...this.#followed.values(), this.#looking, this.#next]);
  }
}

function isNamed({ id, names }: EngineContainer, containerId: string): boolean {
  return (
    id === containerId || names.includes(containerId) || (SHORT_ID.test(containerId) && id.startsWith(containerId))
  );
}
