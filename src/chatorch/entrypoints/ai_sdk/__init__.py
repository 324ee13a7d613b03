"""The door for `useChat` of Vercel's AI SDK: UI message stream v1, over the same threads and runs."""
