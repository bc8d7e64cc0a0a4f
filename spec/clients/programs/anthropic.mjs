import Anthropic from "@anthropic-ai/sdk";
import { staySearchable } from "./upload.mjs";

const client = new Anthropic({ maxRetries: 0 });
const asked = { model: "fake", max_tokens: 16, messages: [{ role: "user", content: "hello" }] };
const message = await client.messages.create(asked);
const streamed = await client.messages.stream(asked).finalText();
if (message.content[0]?.text !== "hello agent" || streamed !== "hello agent") throw new Error("unexpected");
staySearchable();
