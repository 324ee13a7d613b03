"""ChatKit's self-hosted protocol, by OpenAI's own server package, over the same threads, messages and runs.

Importing this imports `openai-chatkit` (extra ``chatorch[chatkit]``), which takes a second and 50 MB, so nothing does
before the application knows that it is wanted.
"""

import logging
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # about its own widget classes
    import chatkit.server as _package  # noqa: F401

# It logs the text of exceptions, to a handler of its own where LOG_LEVEL is set. We log what is worth it ourselves.
_logger = logging.getLogger("chatkit")
_logger.handlers.clear()
_logger.propagate = False
_logger.disabled = True
