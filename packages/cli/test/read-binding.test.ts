import { loadConfig } from "@gatehouse/kit";
import { expect, test } from "vitest";
import { readBinding } from "../src/terminal/read-binding.ts";

const read = (options: Readonly<Record<string, string>>) =>
  readBinding({ args: [], options, config: loadConfig({ env: {} }), socketPath: "" }, ["a.test"]);

test("a credential goes into a header by its name, Authorization where none is given", () => {
  expect(read({})).toEqual({ hosts: ["a.test"], header: "Authorization", format: "Bearer {value}" });
  expect(read({ header: "X-Api-Key", format: "{value}" })).toMatchObject({ header: "X-Api-Key", format: "{value}" });
});

test.each([
  ["Bad Header", "--header takes a header's name, as X-Api-Key, and nothing behind it, as there is behind Bad."],
  ["Authorization: Bearer s3cret", "and nothing behind it, as there is behind Authorization."],
  ["", "--header takes a header's name, as X-Api-Key."],
  [": x", "--header takes a header's name, as X-Api-Key."],
  ["x".repeat(65), "--header takes a header's name, as X-Api-Key."],
])("what is no header's name is refused, and what may be a value is not repeated: %j", (header, said) => {
  expect(() => read({ header })).toThrow(
    expect.objectContaining({ code: "usage.invalid", detail: expect.stringContaining(said) }),
  );
});
