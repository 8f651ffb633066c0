"""Reads interaction files: one user a line, `user<TAB>item item …`, items in time order."""

from dataclasses import dataclass
from pathlib import Path

from dff.errors import DataError
from dff.item_ids import RULE, is_id, lines_of

MIN_INTERACTIONS = 5  # shorter users cannot spare a valid and a test item and still have something to learn from


@dataclass(frozen=True)
class Interactions:
    users: list[str]
    sequences: list[list[str]]  # item ids of each user, oldest first
    left_out: int  # users with fewer than MIN_INTERACTIONS
    named: frozenset[str] = frozenset()  # item ids of all users in the file, those left out included

    def count(self) -> int:
        return sum(map(len, self.sequences))


def parse_line(line: str, place: str) -> tuple[str, list[str]]:
    user, tab, rest = line.partition("\t")
    if not tab:
        raise DataError(f"{place}: no tab between the user and the items")
    if not user.strip():
        raise DataError(f"{place}: empty user id")
    if not is_id(user):
        raise DataError(f"{place}: user {user!r} is not an id: {RULE}")
    if "\t" in rest:
        raise DataError(f"{place}: more than one tab (items are separated by single spaces)")
    items = rest.split(" ")
    if not all(items):
        reason = "no items" if rest.strip() == "" else "empty item id (two spaces in a row, or one at an end)"
        raise DataError(f"{place}: user {user!r} has {reason}")
    bad = next((item for item in items if not is_id(item)), None)
    if bad is not None:
        raise DataError(f"{place}: item {bad!r} is not an id: {RULE}")
    return user, items


def read_interactions(path: Path) -> Interactions:
    """Reads the file whole; raises DataError that names `file:line` and the reason."""
    try:
        lines = lines_of(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    first_seen: dict[str, int] = {}
    users: list[str] = []
    sequences: list[list[str]] = []
    named: set[str] = set()
    for number, raw in enumerate(lines, start=1):
        place = f"{path}:{number}"
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{place}: not UTF-8 (byte {error.start} of the line)") from error
        if not line:
            raise DataError(f"{place}: empty line")
        user, items = parse_line(line, place)
        if user in first_seen:
            raise DataError(f"{place}: user {user!r} already stands in line {first_seen[user]}")
        first_seen[user] = number
        named.update(items)
        if len(items) >= MIN_INTERACTIONS:
            users.append(user)
            sequences.append(items)
    if not users:
        raise DataError(f"{path}: no user has {MIN_INTERACTIONS} or more interactions")
    return Interactions(users, sequences, len(first_seen) - len(users), frozenset(named))
