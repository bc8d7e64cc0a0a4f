import { escapeUnseen } from "@gatehouse/core";

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
  return escapeUnseen(text).replace(/[&<>"']/g, (char) => ESCAPES[char] ?? "");
}
