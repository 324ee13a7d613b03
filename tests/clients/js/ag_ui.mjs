// @ag-ui/client: HttpAgent as it is, and with the lines that docs/clients.md gives.

import { readFileSync } from "node:fs";

import { HttpAgent } from "@ag-ui/client";

import { serve } from "./harness.mjs";

// Where a connection breaks, the client also throws where nobody can catch it: a browser logs that, and Node would end
process.on("unhandledRejection", (error) => {
  if (error.message !== "terminated") throw error;
});

const { ChatorchAgent } = await documented("chatorch-agent.js");
const agents = new Map(); // by the name of their tab

// The block of this name, as a module; without one the first of AG-UI's, at another address
async function documented(name, url) {
  const page = readFileSync(new URL("../../../docs/clients.md", import.meta.url), "utf8").split("\n## AG-UI\n")[1];
  const code = page.split("```js" + (name ? ` ${name}` : "") + "\n")[1].split("\n```")[0];
  const there = code.replace("https://chat.example", url).replace(/from "(.+?)"/g, (_, module) => `from "${import.meta.resolve(module)}"`);
  return import("data:text/javascript," + encodeURIComponent(there));
}

function agentOf({ tab, url, token, thread, plain }) {
  if (!agents.has(tab)) {
    const Agent = plain ? HttpAgent : ChatorchAgent;
    agents.set(tab, new Agent({ threadId: thread, url: `${url}/api/ag-ui` }));
  }
  const agent = agents.get(tab);
  agent.url = `${url}/api/ag-ui`;
  agent.headers = token ? { Authorization: `Bearer ${token}` } : {};
  return agent;
}

function shown(tell) {
  return {
    onRunStartedEvent: ({ event }) => tell("started", { ours: event.metadata?.chatorch, version: event.protocolVersion }),
    onTextMessageContentEvent: ({ event }) => tell("text", { text: event.delta }),
    onReasoningMessageContentEvent: ({ event }) => tell("thought", { text: event.delta }),
    onMessagesSnapshotEvent: ({ event }) => tell("snapshot", { messages: event.messages }),
    onToolCallStartEvent: ({ event }) => tell("call", { id: event.toolCallId, name: event.toolCallName }),
    onToolCallResultEvent: ({ event }) => tell("result", { id: event.toolCallId, content: event.content }),
    onCustomEvent: ({ event }) => tell("beside", { name: event.name, value: event.value }),
    onRunFinishedEvent: ({ outcome, pendingToolCallIds, event }) =>
      tell("finished", { outcome, pending: pendingToolCallIds ?? [], usage: event.usage }),
    onRunErrorEvent: ({ event }) => tell("error", { code: event.code, message: event.message }),
  };
}

const left = (agent) => ({ messages: agent.messages, interrupts: agent.pendingInterrupts });

async function ask(given, { tell, heard }) {
  const agent = agentOf(given);
  if (given.text) agent.addMessage({ id: given.id ?? crypto.randomUUID(), role: "user", content: given.text });
  for (const message of given.results ?? []) agent.addMessage({ id: crypto.randomUUID(), role: "tool", ...message });
  heard("leave").then(() => agent.abortRun());
  await agent.runAgent({ runId: given.run, forwardedProps: { model: given.model }, ...given.parameters }, shown(tell));
  return left(agent);
}

// As an application does that has tools: runs again as long as it is asked for something, and says `says` to each
async function work(given, { tell }) {
  const agent = agentOf(given);
  const tools = Object.keys(given.says).map((name) => ({ name, description: `Does ${name}.`, parameters: { type: "object" } }));
  agent.addMessage({ id: crypto.randomUUID(), role: "user", content: given.text });
  for (let pending = null; pending === null || pending.length > 0; ) {
    const mine = { onRunFinishedEvent: (params) => void (pending = params.pendingToolCallIds ?? []) };
    pending = [];
    const { unsubscribe } = agent.subscribe(mine);
    await agent.runAgent({ tools, forwardedProps: { model: given.model } }, shown(tell));
    unsubscribe();
    const calls = agent.messages.flatMap((message) => message.toolCalls ?? []);
    for (const { id, function: called } of calls.filter((call) => pending.includes(call.id))) {
      agent.addMessage({ id: crypto.randomUUID(), role: "tool", toolCallId: id, content: given.says[called.name] });
    }
  }
  return left(agent);
}

async function connect(given, { tell, heard }) {
  const agent = agentOf(given);
  heard("leave").then(() => agent.abortRun());
  await agent.connectAgent({}, shown(tell));
  return left(agent);
}

async function stop(given) {
  return { status: (await agentOf(given).stop(given.runId)).status };
}

// The ten lines as they stand, with what they are given
async function example({ url, token, thread }, { tell }) {
  Object.assign(globalThis, { token, threadId: thread, show: (text) => tell("text", { text }) });
  await documented("", url);
}

serve({ ask, work, connect, stop, example });
