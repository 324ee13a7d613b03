"""OpenAI's hosted ChatKit."""
