"""Where tools come from that run with us: Python functions, and servers that speak MCP."""
