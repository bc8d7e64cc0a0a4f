import { CONFIG_KEYS, type ConfigKey, type ConfigKeyRow } from "./config-keys.ts";
import type { Config, ConfigSource } from "./load-config.ts";

/** One line of `config show`. */
export interface ConfigRow {
  readonly key: ConfigKey;
  readonly value: unknown;
  readonly source: ConfigSource;
}

/** Every setting with its value and where that came from, in the table's order. */
export function describeConfig(config: Config): readonly ConfigRow[] {
  return keys().map((key) => {
    const [section = "", name = ""] = key.split(".");
    const values = (config as unknown as Readonly<Record<string, Readonly<Record<string, unknown>>>>)[section];
    return { key, value: values?.[name], source: config.sources[key] };
  });
}

/** The page `docs/reference/config.md`. */
export function renderConfigReference(): string {
  const rows = keys().map((key) => {
    const row: ConfigKeyRow<unknown> = CONFIG_KEYS[key];
    const names = row.flag === undefined ? `\`${row.env}\`` : `\`${row.env}\`, \`${row.flag}\``;
    const type = row.unit === undefined ? row.type.name : `${row.type.name} (${row.unit})`;
    return `| \`${key}\` | ${type} | ${row.defaultText ?? `\`${String(row.default({}))}\``} | ${names} | ${row.since} | ${row.say} |`;
  });
  return `# Settings

Read once at the start: a flag wins over the environment, that over the file, that over the default. The file is \`config.yaml\` in \`$XDG_CONFIG_HOME/gatehouse\` (or \`~/.config/gatehouse\`), or the one that \`--config\` names; it holds a map for each section. Relative paths count from the file's directory, elsewhere from the working directory. Unknown keys and variables are refused. Source: \`packages/kit/src/config/config-keys.ts\`.

| key | type | default | variable, flag | since | what |
|---|---|---|---|---|---|
${rows.join("\n")}
`;
}

function keys(): readonly ConfigKey[] {
  return Object.keys(CONFIG_KEYS) as ConfigKey[];
}
