/** The plain way to read a head, as a yardstick: the whole text cut into lines, each line judged by expressions. */
export function readHeadAsText(bytes: Buffer): { readonly method: string; readonly fields: readonly object[] } {
  const end = bytes.indexOf("\r\n\r\n");
  const [requestLine = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const [, method = ""] = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP\/1\.[01]$/.exec(requestLine) ?? [];
  const fields = lines.map((line) => {
    const [, name = "", value = ""] =
      /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*?)[\t ]*$/.exec(line) ?? [];
    if (name === "") throw new Error("malformed field");
    return { name, lowerName: name.toLowerCase(), value };
  });
  return { method, fields };
}
