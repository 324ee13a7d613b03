// openai-node's Responses and Conversations, as its documentation shows them.

import OpenAI from "openai";
import { serve } from "./harness.mjs";

const client = ({ url, token }) => new OpenAI({ baseURL: `${url}/v1`, apiKey: token });

function shown(response) {
  const texts = response.output.flatMap((item) => item.content ?? []).map((part) => part.text ?? "");
  return {
    id: response.id,
    status: response.status,
    text: texts.join(""),
    error: response.error,
    usage: response.usage,
    conversation: response.conversation?.id,
    background: response.background,
  };
}

async function respond({ model, input = "Hi", members = {}, ...given }) {
  return shown(await client(given).responses.create({ model, input, ...members }));
}

// As the guide to background mode has it: who is cut off asks for the events after the last one that came
async function watch({ model, input = "Hi", members = {}, waits, ...given }, { tell, heard }) {
  const api = client(given);
  const body = { model, input, stream: true, background: true, ...members };
  let events = await api.responses.create(body);
  let response = null;
  let last = null;
  for (let breaks = 0; ; breaks++) {
    try {
      for await (const event of events) {
        last = event.sequence_number;
        response = event.response ?? response;
        if (event.response) tell("response", { id: event.response.id, status: event.response.status });
        if (event.type === "response.output_text.delta") tell("text", { text: event.delta });
        tell("event", { event });
      }
      return { ...shown(response), breaks };
    } catch (error) {
      if (response === null || (error instanceof OpenAI.APIError && !(error instanceof OpenAI.APIConnectionError))) {
        throw error;
      }
      tell("broken");
      if (waits === "come back") await heard(waits);
      events = await api.responses.retrieve(response.id, { stream: true, starting_after: last });
    }
  }
}

// Without anything kept: what the package gives back goes back as it is
async function unkept({ model, texts, ...given }) {
  const input = [];
  for (const text of texts) {
    input.push({ role: "user", content: text });
    const response = await client(given).responses.create({ model, input, store: false });
    input.push(...response.output);
  }
}

async function events({ id, after, ...given }, { tell }) {
  const asked = after === undefined ? { stream: true } : { stream: true, starting_after: after };
  for await (const event of await client(given).responses.retrieve(id, asked)) {
    if (event.type === "response.output_text.delta") tell("text", { text: event.delta });
    tell("event", { event });
  }
}

// The package's own accumulation, of a new response or of one that was begun
async function accumulate({ model, input = "Hi", members = {}, id, after, ...given }, { tell }) {
  const asked = id === undefined ? { model, input, ...members } : { response_id: id, starting_after: after };
  const stream = client(given).responses.stream(asked);
  stream.on("response.output_text.delta", (event) => tell("text", { text: event.delta }));
  const response = await stream.finalResponse();
  return { ...shown(response), text: response.output_text };
}

const WEATHER = {
  type: "function",
  name: "weather",
  description: "Tells the weather.",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
  strict: true,
};

// As the guide to function calling has it
async function functions({ model, kept, streams, ...given }, { tell }) {
  const api = client(given).responses;
  const history = [{ role: "user", content: "How is it?" }];
  let more = kept ? { input: history } : { input: history, store: false };
  for (;;) {
    const body = { model, tools: [WEATHER], ...more };
    let response;
    if (streams) {
      const stream = api.stream(body).on("event", (event) => tell("event", { event: event.type }));
      response = await stream.finalResponse();
    } else {
      response = await api.parse(body);
    }
    const outputs = response.output
      .filter((item) => item.type === "function_call")
      .map((item) => ({
        type: "function_call_output",
        call_id: item.call_id,
        output: `sunny in ${JSON.parse(item.arguments).city}`,
      }));
    if (!outputs.length) return { ...shown(response), text: response.output_text };
    history.push(...response.output, ...outputs);
    if (kept) more = { input: outputs, previous_response_id: response.id };
  }
}

async function kinds({ id, ...given }) {
  const found = [];
  for await (const item of client(given).responses.inputItems.list(id, { order: "asc" })) found.push(item.type);
  return found;
}

const retrieve = async ({ id, ...given }) => shown(await client(given).responses.retrieve(id));
const cancel = async ({ id, ...given }) => shown(await client(given).responses.cancel(id));
const remove = async ({ id, ...given }) => void (await client(given).responses.delete(id));

async function inputs({ id, ...given }) {
  const found = [];
  for await (const item of client(given).responses.inputItems.list(id)) found.push([item.role, item.content[0].text]);
  return found;
}

const converse = async ({ members = {}, ...given }) => (await client(given).conversations.create(members)).id;
const conversation = async ({ id, ...given }) => await client(given).conversations.retrieve(id);
const forget = async ({ id, ...given }) => void (await client(given).conversations.delete(id));

async function items({ id, ...given }) {
  const found = [];
  for await (const item of client(given).conversations.items.list(id, { order: "asc" })) {
    found.push([item.role, item.content[0].text]);
  }
  return found;
}

serve({
  respond,
  watch,
  unkept,
  events,
  accumulate,
  functions,
  kinds,
  retrieve,
  cancel,
  remove,
  inputs,
  converse,
  conversation,
  forget,
  items,
});
