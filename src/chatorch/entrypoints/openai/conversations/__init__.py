"""OpenAI's Conversations: a conversation is a thread."""
