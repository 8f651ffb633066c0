"""The demo's files: what the server imports, and what only training reads."""

import csv
import json
import struct
from collections.abc import Iterable
from pathlib import Path

from dff.demo.audience import Impression, User, positives
from dff.demo.catalogue import Clip


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes UTF-8 with plain line feeds on every system: the same seed has to give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def as_json(content: dict[str, object]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def write_items(path: Path, clips: list[Clip]) -> None:
    write_lines(path, (as_json(clip.as_item()) for clip in clips))


def write_events(path: Path, impressions: Iterable[Impression]) -> int:
    """Events in time order, numbered; returns how many."""
    ordered = sorted(impressions, key=lambda impression: (impression.at, impression.user_id))
    write_lines(path, (as_json(impression.as_event(f"demo-{number:05d}")) for number, impression in enumerate(ordered, start=1)))
    return len(ordered)


def write_interactions(path: Path, users: list[User], watched: dict[str, list[Impression]]) -> None:
    """The trainer's format, `user<TAB>item item …`: what each user liked, in time order."""
    write_lines(path, (f"{user.user_id}\t{' '.join(positives(watched[user.user_id]))}" for user in users))


def write_titles(path: Path, clips: list[Clip]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("item", "title"))
        writer.writerows((clip.item_id, clip.encoder_text()) for clip in clips)


def settle_header(path: Path) -> None:
    """Rewrites a safetensors file with its header in sorted order; the library writes metadata in a random one, so bytes would differ."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the format wants tensors aligned to 8 bytes
    path.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + length :])
