import { Lifetime, linkSignals, Problem, parseRunId, toProblem } from "@gatehouse/core";
import type { Log } from "@gatehouse/kit";
import type { OpenRunStream } from "@gatehouse/wire";
import type { NodeSession } from "../uplink/node-session.ts";
import { sendStream } from "../uplink/send-stream.ts";
import { Attachment, type AttachmentDeps } from "./attachment.ts";

export interface AttachmentsDeps extends AttachmentDeps {
  readonly session: () => NodeSession | undefined;
  readonly log: Log;
}

/** Streams that are open at a time on one node. */
const MAX_OPEN = 64;
/** Of these, what one member asked for: nobody has all places for themselves. */
const MAX_OPEN_OF_ACTOR = 16;

/** The runs that somebody is attached to. Each stream is opened by the node, when a command asks for it. */
export class Attachments implements AsyncDisposable {
  readonly #deps: AttachmentsDeps;
  readonly #life = new Lifetime();
  /** Who writes to a run's input; a later one takes its place. */
  readonly #writers = new Map<string, AbortController>();
  /** How many streams are open, by who asked for them. */
  readonly #open = new Map<string, number>();

  constructor(deps: AttachmentsDeps) {
    this.#deps = deps;
  }

  /** Begins to stream a run for who asked. Fails with `runs.not_found`, `server.busy`, `server.unreachable`. */
  open(asked: OpenRunStream, actor: string): void {
    const { streamed, session } = this.#deps;
    streamed(parseRunId(asked.runId));
    const current = session();
    if (current === undefined) throw new Problem("server.unreachable");
    const own = this.#open.get(actor) ?? 0;
    const all = [...this.#open.values()].reduce((sum, count) => sum + count, 0);
    if (all >= MAX_OPEN || own >= MAX_OPEN_OF_ACTOR) {
      const detail = `${MAX_OPEN} streams are open, or ${MAX_OPEN_OF_ACTOR} of one member.`;
      throw new Problem("server.busy", { detail });
    }
    this.#open.set(actor, own + 1);
    this.#life.run((signal) => this.#serve(asked, current, signal).finally(() => this.#leave(actor)));
  }

  #leave(actor: string): void {
    const left = (this.#open.get(actor) ?? 1) - 1;
    if (left === 0) this.#open.delete(actor);
    else this.#open.set(actor, left);
  }

  async #serve(asked: OpenRunStream, session: NodeSession, signal: AbortSignal): Promise<void> {
    const { log } = this.#deps;
    const { runId, attachmentId } = asked;
    const replaced = new AbortController();
    using linked = linkSignals(signal, replaced.signal);
    if (asked.wantsInput) {
      this.#writers.get(runId)?.abort(new Problem("runs.taken_over"));
      this.#writers.set(runId, replaced);
    }
    try {
      await sendStream(() => new Attachment(asked, this.#deps).serve(session, linked.signal));
      log.debug("attachment ended", { runId, attachmentId });
    } catch (failure) {
      log.info("attachment ended", { runId, attachmentId, code: toProblem(failure).code });
    } finally {
      if (this.#writers.get(runId) === replaced) this.#writers.delete(runId);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#life[Symbol.asyncDispose]();
  }
}
