"""What every door over HTTP stands on: the connection, middleware, strict JSON, who asks, problems, event streams."""
