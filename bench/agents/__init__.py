"""One turn with two tool calls, made by chatorch and by the servers that others have for agents."""
