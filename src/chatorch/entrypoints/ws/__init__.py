"""The WebSocket door: `/ws/chat/{client_id}`."""
