// One job a line in, one answer a line out: {id, text, calls: [{name, arguments}], error}.
// A job names the SDK, whether to stream, where the gateway is, and the conversation in that SDK's own words.
import { createInterface } from "node:readline";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { createOpenAI } from "@ai-sdk/openai";
import { createAnthropic } from "@ai-sdk/anthropic";
import { generateText, jsonSchema, streamText, tool } from "ai";

for (const name of ["log", "info", "warn", "debug"]) console[name] = console.error; // stdout is for answers
const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");

async function chat(job) {
  const client = new OpenAI({ baseURL: job.openai, apiKey: job.key, maxRetries: 0, timeout: 20000 });
  const request = { model: job.model, messages: job.messages, tools: job.tools, ...job.more };
  const message = job.stream
    ? (await client.chat.completions.stream(request).finalChatCompletion()).choices[0].message
    : (await client.chat.completions.create(request)).choices[0].message;
  const calls = (message.tool_calls ?? []).map((c) => ({
    name: c.function?.name ?? c.custom?.name,
    arguments: c.function?.arguments ?? c.custom?.input,
  }));
  if (message.function_call) calls.push({ ...message.function_call });
  return { text: message.content ?? "", calls };
}

async function responses(job) {
  const client = new OpenAI({ baseURL: job.openai, apiKey: job.key, maxRetries: 0, timeout: 20000 });
  const request = { model: job.model, input: job.input, tools: job.tools, ...job.more };
  const answer = job.stream
    ? await client.responses.stream(request).finalResponse()
    : await client.responses.create(request);
  const calls = answer.output
    .filter((item) => item.type !== "message" && item.type !== "reasoning")
    .map((item) => ({ name: item.name ?? item.type, arguments: item.arguments ?? item.input ?? JSON.stringify(item) }));
  return { text: answer.output_text ?? "", calls };
}

async function anthropic(job) {
  const client = new Anthropic({ baseURL: job.anthropic, apiKey: job.key, maxRetries: 0, timeout: 20000 });
  const request = { model: job.model, max_tokens: 1000, messages: job.messages, tools: job.tools, ...job.more };
  const message = job.stream
    ? await client.messages.stream(request).finalMessage()
    : await client.messages.create(request);
  return {
    text: message.content.filter((b) => b.type === "text").map((b) => b.text).join(""),
    calls: message.content
      .filter((b) => b.type !== "text" && b.type !== "thinking")
      .map((b) => ({ name: b.name ?? b.type, arguments: JSON.stringify(b.input ?? b) })),
  };
}

async function vercel(job) {
  const openai = createOpenAI({ baseURL: job.openai, apiKey: job.key });
  const model = {
    "vercel-chat": () => openai.chat(job.model),
    "vercel-responses": () => openai.responses(job.model),
    "vercel-anthropic": () => createAnthropic({ baseURL: `${job.anthropic}/v1`, apiKey: job.key })(job.model),
  }[job.sdk]();
  const tools = Object.fromEntries(
    job.plain.tools.map((t) => [t.name, tool({ description: t.name, inputSchema: jsonSchema(t.schema) })]),
  );
  const request = { model, tools, messages: [{ role: "user", content: job.plain.user }], maxRetries: 0 };
  let failed = null;
  const result = job.stream
    ? streamText({ ...request, onError: ({ error }) => { failed = error; } })
    : await generateText(request);
  if (job.stream) for await (const _ of result.fullStream) { /* until it ends */ }
  if (failed) throw failed;
  const calls = await result.toolCalls;
  return {
    text: await result.text,
    calls: calls.map((c) => ({ name: c.toolName, arguments: typeof c.input === "string" ? c.input : JSON.stringify(c.input) })),
  };
}

const SDKS = {
  "openai-chat": chat,
  "openai-responses": responses,
  anthropic,
  "vercel-chat": vercel,
  "vercel-responses": vercel,
  "vercel-anthropic": vercel,
};

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  try {
    say({ id: job.id, error: "", ...(await SDKS[job.sdk](job)) });
  } catch (error) {
    say({ id: job.id, text: "", calls: [], error: `${error?.name}: ${error?.message}`.slice(0, 500) });
  }
}
