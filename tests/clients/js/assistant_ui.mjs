// assistant-ui's runtime for the AI SDK in a page, with its own transport as it is, and with the lines of docs/clients.md.

import { described, serve } from "./harness.mjs";
import { documented, open, walk } from "./page.mjs";

const { createElement } = await import("react");
const { AssistantRuntimeProvider } = await import("@assistant-ui/react");
const { AssistantChatTransport, useAISDKChat, useAISDKError, useChatRuntime } = await import("@assistant-ui/react-ai-sdk");
const { assistantTransport } = await documented("chatorch-assistant.js");

const textOf = (message) => message?.content.map((part) => (part.type === "text" ? part.text : "")).join("") ?? "";

// As it is; or with the lines of the documentation, whose runtime goes on by itself with what its storage names
function transportOf({ url, token, model, chat, asItIs }) {
  const body = { model };
  if (!asItIs) return assistantTransport({ url, token: () => token, id: chat, body });
  return new AssistantChatTransport({ api: `${url}/api/ai-sdk`, headers: { authorization: `Bearer ${token}` }, body });
}

async function chat({ steps, messages, resume, ...given }, { tell, heard }) {
  const { url, token, chat } = given;
  const at = (what) => `${url}/api/ai-sdk/${encodeURIComponent(chat)}/${what}`;
  const headers = { authorization: `Bearer ${token}` };
  const transport = transportOf(given);
  const storage = transport.getResumableAdapter()?.storage;
  const named = storage?.getStreamId;
  if (storage && !resume) storage.getStreamId = () => null;
  const finishes = [];
  const onFinish = ({ isAbort, isError, finishReason }) => (finishes.push({ isAbort, isError, finishReason }), changed());
  let runtime, sdk, error;
  let shown = "";
  function Thread() {
    [sdk, error] = [useAISDKChat(), useAISDKError()];
    changed();
    return null;
  }
  function Page() {
    runtime = useChatRuntime({ transport, messages, onFinish });
    return createElement(AssistantRuntimeProvider, { runtime }, createElement(Thread));
  }
  const { changed, until, close } = open(Page);
  await until(() => runtime && sdk);
  const { thread } = runtime;
  const last = () => thread.getState().messages.at(-1);
  const look = () => {
    if (last()?.role === "assistant" && textOf(last()) !== shown) tell("shows", { text: (shown = textOf(last())) });
    changed();
  };
  thread.subscribe(look);
  look();
  // What the hook below it has, the runtime has a little later
  const upToDate = () =>
    !thread.getState().isRunning &&
    (sdk.error ? last()?.status?.reason === "error" : textOf(last()) === textOf({ content: sdk.messages.at(-1)?.parts ?? [] }));
  let asked = 0;
  let resuming;
  const actions = {
    send: ({ text }) => (asked++, thread.append(text)),
    regenerate: () => (asked++, thread.getMessageById(last().id).reload()),
    resume: () => {
      storage.getStreamId = named;
      resuming = sdk.resumeStream();
    },
    stop: () => thread.cancelRun(),
    end: () => fetch(at("stop"), { method: "POST", headers }),
    load: async () => {
      const before = sdk.messages;
      sdk.setMessages((await (await fetch(at("messages"), { headers })).json()).data);
      await until(() => sdk.messages !== before);
    },
    settled: async () => {
      await resuming;
      await until(() => finishes.length >= asked && ["ready", "error"].includes(sdk.status) && upToDate());
    },
    shows: ({ text }) => until(() => textOf(last()).includes(text)),
    over: () => until(() => finishes.length > 0),
    heard: ({ word }) => heard(word),
    tell: ({ word }) => tell(word),
  };
  await walk(steps, actions);
  const told = {
    messages: thread.getState().messages.map(({ role, content, status }) => ({ role, parts: content, status })),
    running: thread.getState().isRunning,
    error: error && described(error),
    finishes,
  };
  close();
  return JSON.parse(JSON.stringify(told));
}

serve({ chat });
