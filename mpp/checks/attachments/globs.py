"""The patterns of a rule for names and types of files: one that no file can ever fit is refused, with what was probably meant.

Types are those that mpp.checks.attachments.kinds gives, names the last step of a path. `*` and `?` stand for any; all else
stands for itself, and letter case has no say. Pure; for the settings.
"""

import re

from mpp.checks.attachments.item import Flag
from mpp.checks.attachments.kinds import called, is_major
from mpp.checks.attachments.names import EXECUTABLE, HARMLESS, SCRIPT

_LONGEST = 200
_OF_TYPES = re.compile(r"[a-z0-9!#$&^_.+\-/*?]+")
_REGULAR = re.compile(r"\||^\^|\$$|^\.\*")
_PLAIN = re.compile(r"[^*?]*")
_FLAGS = frozenset(flag.value for flag in Flag)


def read_type(value: str) -> str:
    """Return a pattern of types as it came. Raises ValueError."""
    text = value.lower()
    head, slash, _ = text.partition("/")
    fixed = _PLAIN.match(head)[0]  # type: ignore[index]  # it matches everywhere
    if not value or len(value) > _LONGEST:
        raise ValueError('is no pattern of a type; write "application/x-*"')
    if fixed == text and fixed.strip("s") in _FLAGS:
        raise ValueError(f'is no type but a flag; write flags = ["{fixed.strip("s")}"]')
    if fixed == text and text.lstrip(".") in EXECUTABLE | SCRIPT | HARMLESS:
        raise ValueError(f'is no type but the end of a name; write names = ["*.{text.lstrip(".")}"]')
    if not _OF_TYPES.fullmatch(text) or text.count("/") > 1:
        raise ValueError('is no type, which has neither blanks nor parameters; write "text/html" or "image/*"')
    if (fixed == head and (not slash or not is_major(head))) or not is_major(fixed, begins=True):
        raise ValueError('fits no type; write "application/pdf", "image/*", or "*" and the end, as "*/x-tar"')
    known = called(text)
    if known != text:
        raise ValueError(f'is not what inspection calls such files; write "{known}"')
    return value


def read_file_name(value: str) -> str:
    """Return a pattern of names as it came. Raises ValueError."""
    end = value.lower().lstrip(".")
    if not value or len(value) > _LONGEST:
        raise ValueError('is no pattern of a name; write "*.exe"')
    if "/" in value:
        raise ValueError('fits no name, which has no "/"; write types = [...] for a type, or the last step of a path')
    if "\\" in value or _REGULAR.search(value):
        raise ValueError(
            'is a regular expression, and here * and ? alone stand for others; write "*.exe", or use a list'
        )
    if value != value.strip():
        raise ValueError("begins or ends with a blank, which no name is asked with; remove it")
    if end in EXECUTABLE | SCRIPT | HARMLESS:
        raise ValueError(f'fits only a file that is called so; write "*.{end}" for an end of names')
    return value
