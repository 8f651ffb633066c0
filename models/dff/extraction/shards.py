"""A folder of features: shards in safetensors, each a features file of its own, and an index that names them with digests.

A shard counts once the index names it, and both are written whole or not at all: whatever a kill interrupts is done again.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open

from dff.errors import DataError
from dff.tensor_file import write_tensors
from dff.whole_files import whole_file, write_json

INDEX = "index.json"
FORMAT = "reelfuse-features"
FORMAT_VERSION = 1


@dataclass
class Index:
    provenance: dict[str, object]  # model, revision, dtype, pooling, prompt, frames, …
    layers: list[str]
    width: int | None = None
    shards: list[dict[str, object]] = field(default_factory=list)  # file, items, bytes, sha256
    failed: dict[str, str] = field(default_factory=dict)  # item and reason
    complete: bool = False  # whether the extraction has come to its end

    @property
    def items(self) -> int:
        return sum(shard["items"] for shard in self.shards)


def save_index(folder: Path, index: Index) -> None:
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "items": index.items,
        "layers": index.layers,
        "width": index.width,
        "provenance": index.provenance,
        "shards": index.shards,
        "failed": index.failed,
        "complete": index.complete,
    }
    write_json(folder / INDEX, content)


def load_index(folder: Path) -> Index:
    path = folder / INDEX
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (content["format"], content["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise DataError(f"{path}: not an index of format {FORMAT}, version {FORMAT_VERSION}")
        complete = content.get("complete", True)  # older ones do not tell
        return Index(content["provenance"], content["layers"], content["width"], content["shards"], content["failed"], complete)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not an index of features ({error})") from error


def resume_index(folder: Path, provenance: dict[str, object], layers: list[str]) -> Index:
    """The index to go on with; raises DataError if the folder was begun with other settings or a shard of it is gone."""
    if not (folder / INDEX).exists():
        return Index(provenance, layers)
    index = load_index(folder)
    differing = sorted(key for key in provenance.keys() | index.provenance.keys() if provenance.get(key) != index.provenance.get(key))
    if differing:
        raise DataError(f"{folder}: was begun with another {', '.join(differing)}; choose another folder")
    for shard in index.shards:
        path = folder / shard["file"]
        if not path.is_file() or path.stat().st_size != shard["bytes"]:
            raise DataError(f"{path}: missing or not of the size that {INDEX} names; choose another folder")
    index.failed = {}  # tried again
    return index


def shard_metadata(index: Index, items: Sequence[str], captions: Sequence[str] | None) -> dict[str, str]:
    """Metadata as every features file has it, so that a shard can be used by itself."""
    told = {key: value if isinstance(value, str) else json.dumps(value) for key, value in index.provenance.items()}
    lists = {"item_ids": list(items), "layers": index.layers} | ({} if captions is None else {"captions": list(captions)})
    return told | {key: json.dumps(value, ensure_ascii=False) for key, value in lists.items()}


def add_shard(folder: Path, index: Index, items: Sequence[str], hidden: torch.Tensor, captions: Sequence[str] | None) -> None:
    """hidden (B, L, D) of the items becomes the next shard."""
    name = f"shard-{len(index.shards):05d}.safetensors"
    with whole_file(folder / name) as partial:
        write_tensors(partial, {"hidden_states": hidden.contiguous()}, shard_metadata(index, items, captions))
        record = {"file": name, "items": len(items), "bytes": partial.stat().st_size, "sha256": digest(partial)}
    index.width = hidden.shape[2]
    index.shards.append(record)
    save_index(folder, index)


def digest(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(2**24):
            total.update(block)
    return total.hexdigest()


def shard_lists(folder: Path, index: Index, key: str) -> Iterator[list[str]]:
    """A list of the metadata, shard by shard."""
    for shard in index.shards:
        with safe_open(str(folder / shard["file"]), framework="pt") as stream:
            yield json.loads((stream.metadata() or {}).get(key, "[]"))


def write_captions(folder: Path, index: Index) -> tuple[Path, list[str], list[str]]:
    """Writes captions.csv with the columns item and caption; returns it with both columns."""
    items = [item for part in shard_lists(folder, index, "item_ids") for item in part]
    captions = [caption for part in shard_lists(folder, index, "captions") for caption in part]
    path = folder / "captions.csv"
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["item", "caption"])
        writer.writerows(zip(items, captions, strict=True))
    return path, items, captions


def read_folder(folder: Path) -> tuple[torch.Tensor, list[str], dict[str, str]]:
    """All shards as one tensor (N, L, D), the item ids and metadata; digests are checked."""
    index = load_index(folder)
    if not index.shards:
        raise DataError(f"{folder / INDEX}: names no shards")
    if not index.complete:
        raise DataError(f"{folder}: its extraction is not finished; the same `extract` command again goes on")
    hidden: torch.Tensor | None = None
    items: list[str] = []
    for shard, ids in zip(index.shards, shard_lists_checked(folder, index), strict=True):
        with safe_open(str(folder / shard["file"]), framework="pt") as stream:
            part = stream.get_tensor("hidden_states")
        if hidden is None:
            hidden = torch.empty((index.items, *part.shape[1:]), dtype=part.dtype)
        if part.shape[1:] != hidden.shape[1:] or len(ids) != len(part) or len(part) != shard["items"]:
            raise DataError(f"{folder / shard['file']}: [{', '.join(map(str, part.shape))}] does not fit the shards before it")
        hidden[len(items) : len(items) + len(part)] = part
        items += ids
    told = {key: value if isinstance(value, str) else json.dumps(value) for key, value in index.provenance.items()}
    return hidden, items, told | {"layers": json.dumps(index.layers)}


def shard_lists_checked(folder: Path, index: Index) -> Iterator[list[str]]:
    for shard in index.shards:
        path = folder / shard["file"]
        if not path.is_file():
            raise DataError(f"{path}: missing")
        if digest(path) != shard["sha256"]:
            raise DataError(f"{path}: its SHA-256 is not the one in {INDEX}")
    yield from shard_lists(folder, index, "item_ids")
