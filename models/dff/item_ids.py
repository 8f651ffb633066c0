"""Ids of items and users: the rule of the server, src/ids.ts, tested against the same test/ids.json; files that hold them."""

import csv
import unicodedata
from pathlib import Path

from dff.errors import DataError

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


def lines_of(path: Path) -> list[bytes]:
    """Lines of a text file, without a byte order mark. Only LF ends one, so that U+2028 and the like stay within an id; one CR before it
    is dropped. Raises OSError."""
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


def read_lines(path: Path) -> list[str]:
    """Raises OSError and UnicodeDecodeError."""
    return [line.decode("utf-8") for line in lines_of(path)]


def read_table(path: Path, column: str) -> dict[str, str]:
    """A CSV file with the columns `item` and another one, as what that one holds of each item, in the file's order.

    As in the server's imports, an id with blanks around is none. Raises DataError that names the line and the reason.
    """
    table: dict[str, str] = {}
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = {"item", column} - set(reader.fieldnames or [])
            if missing:
                raise DataError(f"{path}:1: the header lacks the column {', '.join(sorted(missing))}")
            for row in reader:
                item, line = row["item"] or "", reader.line_num
                if not item.strip():
                    raise DataError(f"{path}:{line}: empty item id")
                if not is_id(item):
                    raise DataError(f"{path}:{line}: {item!r} is no item id ({RULE})")
                if item in table:
                    raise DataError(f"{path}:{line}: item {item!r} occurs twice")
                table[item] = row[column] or ""
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise DataError(f"{path}:{line + 1}: not CSV ({error}); is a quote not closed?") from error
    if not table:
        raise DataError(f"{path}: holds no {column}s")
    return table
