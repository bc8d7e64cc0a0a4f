import type { Argument, Command, Option } from "commander";
import type { NameSource } from "./live-names.ts";

/** What may stand at the cursor. Files and directories are the shell's to find. */
type Candidates = { readonly kind: "words"; readonly words: readonly string[] } | { readonly kind: "files" | "dirs" };

const NOTHING: Candidates = { kind: "words", words: [] };
const SOURCES: ReadonlySet<string> = new Set<NameSource>(["run", "grant", "service"]);

/**
 * Answers a completion script: on the first line `words`, `files` or `dirs`, then one candidate on a line. `words` is
 * what was typed after the program's name, the word at the cursor last.
 */
export async function complete(tree: Command, words: readonly string[]): Promise<string> {
  // Bash parts `--option=value` into three words.
  const typed = words.filter((word, at) => word !== "=" || at === words.length - 1);
  const candidates = await candidatesAt(tree, typed);
  const lines = candidates.kind === "words" ? candidates.words : [];
  return [candidates.kind, ...lines, ""].join("\n");
}

async function candidatesAt(tree: Command, typed: readonly string[]): Promise<Candidates> {
  const current = typed.at(-1) ?? "";
  const { command, count, awaiting, isVerbatim } = walk(tree, typed.slice(0, -1));
  if (isVerbatim) return { kind: "files" };
  if (awaiting !== undefined) return valuesOf(awaiting, typed);
  if (current.startsWith("-")) return among(optionNames(command), current);
  if (command.commands.length > 0) {
    const names = command.commands.map((one) => one.name());
    return count > 0 ? NOTHING : among(names, current);
  }
  const argument = argumentAt(command, count);
  return argument === undefined ? NOTHING : valuesOf(argument, typed);
}

/** What an option or argument takes, by the name of its value. */
async function valuesOf(takes: Option | Argument, typed: readonly string[]): Promise<Candidates> {
  const current = typed.at(-1) ?? "";
  if (takes.argChoices !== undefined) return among(takes.argChoices, current);
  const name = valueName(takes);
  if (name === "file" || name === "command") return { kind: "files" };
  if (name === "dir") return { kind: "dirs" };
  if (!SOURCES.has(name)) return NOTHING;
  const { liveNames } = await import("./live-names.ts");
  return among(await liveNames(name as NameSource, typed), current);
}

function among(words: readonly string[], current: string): Candidates {
  return { kind: "words", words: words.filter((word) => word.startsWith(current)) };
}

interface Walked {
  readonly command: Command;
  /** How many arguments of the command stand before the cursor. */
  readonly count: number;
  /** The option whose value comes next. */
  readonly awaiting: Option | undefined;
  /** After `--`, words are another program's. */
  readonly isVerbatim: boolean;
}

function walk(tree: Command, words: readonly string[]): Walked {
  const start: Walked = { command: tree, count: 0, awaiting: undefined, isVerbatim: false };
  return words.reduce(step, start);
}

function step(before: Walked, word: string): Walked {
  const { command, count } = before;
  if (before.isVerbatim) return before;
  if (before.awaiting !== undefined) return { ...before, awaiting: undefined };
  if (word === "--") return { ...before, isVerbatim: true };
  if (word.startsWith("-")) return { ...before, awaiting: optionWithValue(command, word) };
  const below = count === 0 ? command.commands.find((one) => one.name() === word) : undefined;
  return below === undefined ? { ...before, count: count + 1 } : { ...before, command: below };
}

function optionWithValue({ options }: Command, word: string): Option | undefined {
  return options.find(({ long, short, required }) => required && (long === word || short === word));
}

function argumentAt({ registeredArguments }: Command, index: number): Argument | undefined {
  const last = registeredArguments.at(-1);
  return registeredArguments[index] ?? (last?.variadic ? last : undefined);
}

function optionNames({ options }: Command): readonly string[] {
  return [...options.flatMap(({ long }) => long ?? []), "--help"].sort();
}

function valueName(takes: Option | Argument): string {
  return "flags" in takes ? (/[<[]([a-z-]+)/.exec(takes.flags)?.[1] ?? "") : takes.name();
}
