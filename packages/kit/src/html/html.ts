/** Text that may stand in a page: made by `html` alone, which escapes what is put into it. */
export interface Html {
  readonly html: string;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to be shown as escapes
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

type Filling = string | Html | readonly Html[];

/** Fills a template; whatever is not `Html` itself is escaped, characters that nobody sees as `\uXXXX`. */
export function html(parts: TemplateStringsArray, ...values: readonly Filling[]): Html {
  const filled = parts.map((part, at) => {
    const value = values[at];
    return part + (value === undefined ? "" : fill(value));
  });
  return { html: filled.join("") };
}

function fill(value: Filling): string {
  if (typeof value === "string") return escaped(value);
  return "html" in value ? value.html : value.map((one) => one.html).join("");
}

function escaped(text: string): string {
  return text
    .replace(UNSEEN, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .replace(/[&<>"']/g, (char) => ESCAPES[char] ?? "");
}
