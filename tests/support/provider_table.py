"""What providers do, by kind, and what must be stored of it. Each kind stands for others like it."""

from tests.support.provider_answers import choices, halves, messages, reasons
from tests.support.provider_fields import errors, strange_fields
from tests.support.provider_framings import ends, framings, junk

KINDS = (strange_fields, errors, reasons, choices, messages, halves, junk, ends, framings)
CASES = [case for kind in KINDS for case in kind()]
