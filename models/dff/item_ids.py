"""Ids of items and users: the rule of the server, src/ids.ts, tested against the same test/ids.json; files with one id a line."""

import unicodedata
from pathlib import Path

LONGEST = 128  # characters
RULE = f"1 to {LONGEST} visible characters, and not . or .."


def is_id(text: str) -> bool:
    """Whether the server accepts it: no white space, control, format or surrogate characters; URLs drop `.` and `..` from a path."""
    if not 1 <= len(text) <= LONGEST or text in (".", ".."):
        return False
    if text.isascii():  # fast: files have millions of them
        return text.isprintable() and " " not in text
    return not any(map(is_invisible, text))


def is_invisible(character: str) -> bool:
    category = unicodedata.category(character)
    return category.startswith("Z") or category in ("Cc", "Cf", "Cs")


def read_lines(path: Path) -> list[str]:
    """Lines of a text file. Only LF ends one, so that U+2028 and the like stay within an id; a CR before it is dropped.

    Raises OSError and UnicodeDecodeError.
    """
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return [line.removesuffix(b"\r").decode("utf-8") for line in lines]
