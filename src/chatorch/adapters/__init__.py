"""The world behind the ports: one file or folder a technology. No adapter knows another, nor a service."""
