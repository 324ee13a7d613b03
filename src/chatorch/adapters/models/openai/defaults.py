"""OpenAI itself, where nobody names another server; and the errors of its SDK."""

import openai

from chatorch.adapters.models.upstream.errors import LIBRARY_ERRORS
from chatorch.domain.model.upstream_errors import SettingNames, UpstreamError

OPENAI_BASE_URL = "https://api.openai.com/v1"
OPENAI_SETTINGS = SettingNames(address="OPENAI_BASE_URL", key="OPENAI_API_KEY", model="CHATORCH_MODEL")

SDK_ERRORS = (openai.OpenAIError, *LIBRARY_ERRORS)
FAILURES = (UpstreamError, *SDK_ERRORS)
"""Those, and what means a failure already."""
