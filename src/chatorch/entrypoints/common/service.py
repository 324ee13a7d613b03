"""What this service calls itself."""

SERVICE = "chat-orchestration-api"
