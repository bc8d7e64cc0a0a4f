import OpenAI from "openai";
import { staySearchable } from "./upload.mjs";

const client = new OpenAI({ maxRetries: 0 });
const asked = { model: "fake", messages: [{ role: "user", content: "hello" }] };
const completion = await client.chat.completions.create(asked);
let streamed = "";
for await (const { choices } of await client.chat.completions.create({ ...asked, stream: true })) {
  streamed += choices[0]?.delta.content ?? "";
}
const said = completion.choices[0]?.message.content;
if (said !== "hello agent" || streamed !== "hello agent") throw new Error("unexpected");
staySearchable();
