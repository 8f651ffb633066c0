"""Turns weights that were trained with the code of the paper's authors into an artifact that a server loads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from dff.authors import IDS, load_authors_checkpoint, unwrap
from dff.errors import DataError
from dff.export import Description, export, refuse_other_folders
from dff.features import Features, align, load_features
from dff.folders import make_folder
from dff.item_ids import RULE, is_id, read_lines
from dff.split import natural_order


@dataclass(frozen=True)
class ImportOptions:
    checkpoint: Path
    features: Path
    out: Path
    item_ids: Path | None = None  # line k names row k of the ID table
    heads: int = 2
    similarity: str = "dot"  # by which the weights were trained to rank
    temperature: float = 1.0
    allow_missing_features: bool = False
    name: str = "dff"
    version: str = "1"


def read_checkpoint(path: Path) -> Mapping[str, object]:
    """Reads tensors only: a checkpoint is somebody's file, and pickles run code."""
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or 'no such file'})") from error
    except SafetensorError as error:
        raise DataError(f"{path}: not a valid safetensors file ({error})") from error
    except Exception as error:  # torn bytes lead the unpickler into errors of any kind
        raise DataError(
            f"{path}: not a PyTorch file that holds tensors and plain values only ({error}); "
            "saving its model_state_dict alone, with torch.save or as safetensors, may help"
        ) from error
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: holds a {type(content).__name__} instead of a state dict")
    return content


def rows_of(options: ImportOptions, features: Features, rows: int) -> tuple[list[str], str]:
    """The item ids of rows 1 to `rows` of the ID table, and how they were found."""
    if options.item_ids is not None:
        try:
            ids = read_lines(options.item_ids)
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{options.item_ids}: cannot be read ({error})") from error
        if len(ids) != rows or len(set(ids)) != len(ids) or not all(ids):
            raise DataError(f"{options.item_ids}: {len(set(ids) - {''})} different ids in {len(ids)} lines; {IDS} has {rows} items")
        bad = next((number for number, item in enumerate(ids, start=1) if not is_id(item)), None)
        if bad is not None:
            raise DataError(f"{options.item_ids}:{bad}: {ids[bad - 1]!r} is no item id ({RULE})")
        return ids, f"ids of the rows from {options.item_ids.name}"
    if len(features.item_ids) != rows:
        raise DataError(
            f"{IDS} has {rows} items, {options.features} has {len(features.item_ids)}; name the rows' items with --item-ids FILE"
        )
    numbers = [str(number) for number in range(1, rows + 1)]
    if natural_order(features.item_ids) == numbers:
        return numbers, "row k of the ID table taken as item k"
    return features.item_ids, f"row k of the ID table taken as row k of {options.features.name}"


def import_reference(options: ImportOptions) -> str:
    """Writes `out` as an artifact, verified through ONNX Runtime; returns a summary for people.

    Raises DataError that names the key of the state dict, or the file, that does not fit.
    """
    refuse_other_folders(options.out)
    checkpoint = read_checkpoint(options.checkpoint)
    try:
        model, recipe = load_authors_checkpoint(checkpoint, options.heads, options.similarity, options.temperature)
    except DataError as error:
        raise DataError(f"{options.checkpoint}: {error}") from error
    state = unwrap(checkpoint)
    rows = len(state[IDS]) - 1
    features = load_features(options.features, {"1", str(rows)})
    layers, width = features.hidden_states.shape[1:]
    for key, axis, found, what in (("weights", 0, layers, "layers"), ("proj.weight", 1, width, "features of a layer")):
        if state[key].shape[axis] != found:
            raise DataError(f"{options.checkpoint}: {key} is for {state[key].shape[axis]} {what}, {options.features} has {found}")
    ids, how = rows_of(options, features, rows)
    hidden = align(features, ids, options.features, options.allow_missing_features)
    about = Description(
        name=options.name,
        version=options.version,
        layers=features.layers,
        extractor=features.extractor,
        training={"data_set": options.checkpoint.stem, "imported": "weights trained elsewhere", "recipe": recipe.as_dict()},
    )
    make_folder(options.out.parent)
    verdict = export(model, ids, hidden, about, options.out)
    return "\n".join(
        [
            f"{options.out}: {rows} items, width {recipe.dim}, history of {recipe.max_history}, {recipe.blocks} blocks of "
            f"{recipe.heads} heads; {how}",
            f"fingerprint {verdict.fingerprint}",
            f"ONNX Runtime against PyTorch: items {verdict.item_error:.1e}, users {verdict.user_error:.1e}",
        ]
    )
