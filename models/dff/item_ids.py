"""Item ids: the rule that the server has too, and the files that hold one id a line."""

import unicodedata
from pathlib import Path

LONGEST = 128
RULE = f"1 to {LONGEST} visible characters without spaces"


def is_item_id(text: str) -> bool:
    """Whether the server takes it: no white space, and nothing of Unicode's category C (control, format, surrogates, unassigned)."""
    return 0 < len(text) <= LONGEST and not any(sign.isspace() or unicodedata.category(sign)[0] == "C" for sign in text)


def read_lines(path: Path) -> list[str]:
    """Lines of a text file. Only LF ends one, so that U+2028 and the like stay within an id; a CR before it is dropped.

    Raises OSError and UnicodeDecodeError.
    """
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return [line.removesuffix(b"\r").decode("utf-8") for line in lines]
