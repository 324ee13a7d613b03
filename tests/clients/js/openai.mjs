// openai-node, as its README shows it: chat completions and Responses.

import OpenAI from "openai";
import { serve } from "./harness.mjs";

const asked = (text) => [{ role: "user", content: text }];

// The package wants a key; that a guest has none is said as its README says how to leave a header out
function client({ url, token, headers = {} }) {
  const defaultHeaders = token === null ? { Authorization: null, ...headers } : headers;
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: token ?? "none", defaultHeaders });
}

async function models(given) {
  const found = [];
  for await (const model of client(given).models.list()) found.push(model.id);
  return found;
}

async function complete({ model, text = "Hi", members = {}, ...given }) {
  const answer = await client(given).chat.completions.create({ model, messages: asked(text), ...members });
  const [choice] = answer.choices;
  return { text: choice.message.content, finish: choice.finish_reason, usage: answer.usage };
}

async function stream({ model, text = "Hi", members = {}, ...given }, { tell, heard }) {
  const body = { model, messages: asked(text), stream: true, stream_options: { include_usage: true }, ...members };
  const { data: chunks, response } = await client(given).chat.completions.create(body).withResponse();
  tell("headers", { run: response.headers.get("x-chatorch-run") });
  heard("stop").then(() => chunks.controller.abort());
  let finish = null;
  let usage = null;
  for await (const chunk of chunks) {
    const [choice] = chunk.choices;
    if (choice?.delta.content) tell("text", { text: choice.delta.content });
    finish = choice?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  return { finish, usage };
}

// The package's own accumulation of a stream
async function accumulate({ model, text = "Hi", ...given }) {
  const runner = client(given).chat.completions.stream({ model, messages: asked(text) });
  const answer = await runner.finalChatCompletion();
  return { text: answer.choices[0].message.content, finish: answer.choices[0].finish_reason };
}

// What the package gives back goes back as it is
async function converse({ model, texts, ...given }) {
  const messages = [{ role: "system", content: "Be brief." }];
  for (const text of texts) {
    messages.push({ role: "user", content: text });
    const answer = await client(given).chat.completions.create({ model, messages });
    messages.push(answer.choices[0].message);
  }
}

// The package's own loop, which calls functions until there is an answer
async function loop({ model, by, ...given }) {
  const called = [];
  const tool = (name, properties, say) => ({
    type: "function",
    function: {
      name,
      description: `Tells the ${name}.`,
      parameters: { type: "object", properties, required: Object.keys(properties) },
      parse: JSON.parse,
      function: (args) => (called.push([name, args]), say(args)),
    },
  });
  const tools = [
    tool("weather", { city: { type: "string" } }, ({ city }) => `Sunny in ${city}.`),
    tool("now", {}, () => "Noon."),
  ];
  const asking = { model, messages: asked("Hi"), tools, stream: by === "stream" };
  const runner = client(given).chat.completions.runTools(asking);
  return { text: await runner.finalContent(), called };
}

serve({ models, complete, stream, accumulate, converse, loop });
