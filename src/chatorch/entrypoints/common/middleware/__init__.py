"""What every request passes, as pure ASGI."""
