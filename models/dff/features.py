"""Reads hidden states of items, [N, L, D], from safetensors, NumPy or PyTorch files or an extraction's folder, and lines them up with
a catalogue."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from dff.errors import DataError
from dff.extraction.shards import read_folder
from dff.item_ids import RULE, is_id, read_lines

ITEMS_AT_ONCE = 1024  # whose hidden states are worked on together, so that what is made on the way stays small
SAMPLED_ROWS = 1024  # for a fingerprint
LONGEST = 100  # times the median: no clip of one extractor differs by so much, and the server refuses it too
SHOWN = 5  # ids that an error message lists before it only counts


@dataclass(frozen=True)
class Features:
    hidden_states: torch.Tensor  # [N, L, D] float16 or float32
    item_ids: list[str]
    layers: list[str]
    extractor: dict[str, str] = field(default_factory=dict)  # model, revision, pooling
    assumption: str | None = None  # how rows were given ids, when the file does not say


def fingerprint_of(hidden_states: torch.Tensor) -> str:
    """Of the shape of (C, L, D) and a sample of its rows."""
    total = hashlib.sha256(f"{list(hidden_states.shape)}".encode())
    total.update(hidden_states[:: max(1, len(hidden_states) // SAMPLED_ROWS)].float().numpy().tobytes())
    return total.hexdigest()


def name_some(ids: list[str]) -> str:
    shown = ", ".join(ids[:SHOWN])
    return shown if len(ids) <= SHOWN else f"{shown}, … ({len(ids)} in all)"


def load_features(path: Path, interaction_ids: set[str]) -> Features:
    """Loads and checks a features file. `interaction_ids` only serves to number the rows when no ids are stored anywhere."""
    if not path.exists():
        raise DataError(f"{path}: does not exist")
    read = read_folder if path.is_dir() else READERS.get(path.suffix)
    if read is None:
        raise DataError(f"{path}: unknown kind of file; expected {', '.join(sorted(READERS))}")
    try:
        hidden, ids, metadata = read(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (SafetensorError, ValueError, TypeError, KeyError, EOFError) as error:
        raise DataError(f"{path}: not a valid {path.suffix} file ({error})") from error
    hidden = check_shape(path, hidden)
    assumption = None
    sidecar = path.with_name(path.stem + ".ids.txt")
    if ids is None and sidecar.exists():
        try:
            ids = read_lines(sidecar)
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{sidecar}: cannot be read ({error})") from error
    if ids is None:
        ids, hidden, assumption = number_rows(path, hidden, interaction_ids)
    check_ids(path, ids, len(hidden))
    check_finite(path, hidden, ids)
    check_lengths(path, hidden, ids)
    layers = read_layer_names(path, metadata, hidden.shape[1])
    extractor = {key: metadata.get(key, "unknown") for key in ("model", "revision", "pooling")}
    return Features(hidden, ids, layers, extractor, assumption)


Raw = tuple[object, list[str] | None, dict[str, str]]


def read_safetensors(path: Path) -> Raw:
    with safe_open(str(path), framework="pt") as stream:
        metadata = stream.metadata() or {}
        if "hidden_states" not in stream.keys():  # noqa: SIM118  (not a mapping)
            raise DataError(f"{path}: holds no tensor `hidden_states`")
        hidden = stream.get_tensor("hidden_states")
    if "item_ids" not in metadata:
        return hidden, None, metadata
    return hidden, parse_names(path, "item_ids", metadata["item_ids"]), metadata


def read_numpy(path: Path) -> Raw:
    return torch.from_numpy(np.load(path, allow_pickle=False)), None, {}


def read_torch(path: Path) -> Raw:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torn bytes lead the unpickler into errors of any kind
        raise DataError(f"{path}: not a PyTorch file that holds tensors and plain values only ({error})") from error
    if not isinstance(content, dict):
        return content, None, {}
    if "hidden_states" not in content:
        raise DataError(f"{path}: holds no `hidden_states`")
    ids = content.get("item_ids")
    if isinstance(ids, torch.Tensor):
        ids = ids.tolist()
    return content["hidden_states"], None if ids is None else [str(item) for item in ids], {}


READERS = {".safetensors": read_safetensors, ".npy": read_numpy, ".pt": read_torch, ".pth": read_torch}


def parse_names(path: Path, key: str, text: str) -> list[str]:
    try:
        names = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: metadata `{key}` is not JSON ({error})") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: metadata `{key}` is not a JSON array of strings")
    return names


def read_layer_names(path: Path, metadata: dict[str, str], count: int) -> list[str]:
    if "layers" not in metadata:
        return [f"layer_{number}" for number in range(count)]
    names = parse_names(path, "layers", metadata["layers"])
    if len(names) != count:
        raise DataError(f"{path}: metadata `layers` names {len(names)} layers, hidden_states has {count}")
    return names


def check_shape(path: Path, hidden: object) -> torch.Tensor:
    if not isinstance(hidden, torch.Tensor):
        raise DataError(f"{path}: `hidden_states` is not a tensor but {type(hidden).__name__}")
    if hidden.dim() != 3:
        raise DataError(f"{path}: hidden_states has shape {list(hidden.shape)}; expected [items, layers, width]")
    if 0 in hidden.shape:
        raise DataError(f"{path}: hidden_states has shape {list(hidden.shape)}; no axis may be empty")
    if not hidden.is_floating_point():
        raise DataError(f"{path}: hidden_states holds {hidden.dtype}; expected float16 or float32")
    return hidden if hidden.dtype in (torch.float16, torch.float32) else hidden.to(torch.float32)


def check_ids(path: Path, ids: list[str], rows: int) -> None:
    if len(ids) != rows:
        raise DataError(f"{path}: {len(ids)} item ids for {rows} rows of hidden_states")
    seen: dict[str, int] = {}
    for row, item in enumerate(ids):
        if not item:
            raise DataError(f"{path}: row {row} has an empty item id")
        if not is_id(item):
            raise DataError(f"{path}: row {row}: {item!r} is not an id: {RULE}")
        if item in seen:
            raise DataError(f"{path}: item {item!r} stands in rows {seen[item]} and {row}")
        seen[item] = row


def check_finite(path: Path, hidden: torch.Tensor, ids: list[str]) -> None:
    broken = [ids[row] for row in range(len(ids)) if not torch.isfinite(hidden[row]).all()]
    if broken:
        raise DataError(f"{path}: NaN or infinite hidden states in item {name_some(broken)}")


def check_lengths(path: Path, hidden: torch.Tensor, ids: list[str]) -> None:
    """A single row of 1e30 would decide mean and deviation, and make all others alike."""
    lengths = torch.cat([part.double().norm(dim=-1) for part in hidden.split(ITEMS_AT_ONCE)])  # (N, L)
    present = lengths[lengths.amax(dim=1) > 0]
    if not len(present):
        return
    usual = present.median(dim=0).values  # (L)
    far = ((lengths > LONGEST * usual) & (usual > 0)).any(dim=1)
    strange = [ids[row] for row in far.nonzero().flatten().tolist()]
    if strange:
        raise DataError(
            f"{path}: hidden states more than {LONGEST} times as long as those of most items, in item {name_some(strange)}; "
            "extract these anew, or leave them out and pass --allow-missing-features"
        )


def number_rows(path: Path, hidden: torch.Tensor, interaction_ids: set[str]) -> tuple[list[str], torch.Tensor, str]:
    """Gives rows the ids 1..N where the interactions use such ids and the number of rows fits."""
    hint = f"store them in the metadata or in {path.stem}.ids.txt"
    if not all(item.isascii() and item.isdigit() and item == str(int(item)) and int(item) > 0 for item in interaction_ids):
        raise DataError(f"{path}: no item ids, and the interactions' ids are not the numbers 1..N; {hint}")
    largest = max(map(int, interaction_ids))
    rows = len(hidden)
    ids = [str(number) for number in range(1, largest + 1)]
    if rows == largest:
        return ids, hidden, f"no item ids in {path.name}: row r taken as item r + 1 (largest id {largest}, {rows} rows)"
    if rows == largest + 1 and not hidden[0].any():
        return ids, hidden[1:], f"no item ids in {path.name}: row r taken as item r, row 0 as padding (largest id {largest}, {rows} rows)"
    raise DataError(f"{path}: no item ids, and {rows} rows fit neither 1..{largest} nor 0..{largest} with zeros in row 0; {hint}")


def align(features: Features, item_ids: list[str], path: Path, allow_missing: bool) -> torch.Tensor:
    """Hidden states in catalogue order, [C, L, D]. Items without features become zero blocks if that is allowed."""
    row_of = {item: row for row, item in enumerate(features.item_ids)}
    missing = [item for item in item_ids if item not in row_of]
    if missing and not allow_missing:
        raise DataError(
            f"{path}: {len(missing)} items of the interactions have no features: {name_some(missing)}"
            " (--allow-missing-features trains them on their ID alone)"
        )
    rows = torch.tensor([row_of.get(item, 0) for item in item_ids])
    aligned = features.hidden_states[rows]
    if missing:
        aligned[torch.tensor([item not in row_of for item in item_ids])] = 0
    return aligned
