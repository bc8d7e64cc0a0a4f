import { type Command, Help, type HelpConfiguration, type Option } from "commander";

/** Options that every command takes stand last. */
export const EVERYWHERE = "Everywhere:";
/** Commands about this machine alone. */
export const MACHINE = "This machine:";

/** How help pages are written: what a command needs stands in its usage, and nothing that says nothing. */
export const HELP: HelpConfiguration = {
  commandUsage: (command) => [pathOf(command), ...needsOf(command)].join(" "),
  subcommandTerm: (command) => [command.name(), ...argumentsOf(command)].join(" "),
  optionDescription: (option) => (isEmptyList(option.defaultValue) ? option.description : described(option)),
  groupItems: (all, visible, groupOf) => lastOf(EVERYWHERE, new Help().groupItems(all, visible, groupOf)),
};

/** Adds command lines that somebody would type to a command's help page. */
export function withExamples(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText("after", ["", "Examples:", ...lines.map((line) => `  gatehouse ${line}`)].join("\n"));
}

function pathOf(command: Command): string {
  const { parent } = command;
  return parent === null ? command.name() : `${pathOf(parent)} ${command.name()}`;
}

function needsOf(command: Command): readonly string[] {
  if (command.commands.length > 0 && command.registeredArguments.length === 0 && !isCommand(command)) {
    return ["<command>"];
  }
  const required = command.options.filter(({ mandatory }) => mandatory).map(({ flags }) => flags);
  return [...required, "[options]", ...argumentsOf(command)];
}

/** A group is nothing by itself: it takes no options of its own. */
function isCommand({ options, parent }: Command): boolean {
  return parent !== null && options.length > 0;
}

function argumentsOf({ registeredArguments }: Command): readonly string[] {
  return registeredArguments.map((one) => {
    const name = one.variadic ? `${one.name()}...` : one.name();
    return one.required ? `<${name}>` : `[${name}]`;
  });
}

function described(option: Option): string {
  return new Help().optionDescription(option);
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function lastOf<T>(heading: string, groups: Map<string, T[]>): Map<string, T[]> {
  const last = groups.get(heading);
  if (last === undefined) return groups;
  groups.delete(heading);
  return groups.set(heading, last);
}
