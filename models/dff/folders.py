"""Folders for results."""

from pathlib import Path

from dff.errors import DataError


def make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path}: no folder can be made ({error.strerror})") from error
