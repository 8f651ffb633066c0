"""Writes the artifact that a server loads: graphs, item ids, golden examples and a manifest, whole or not at all."""

import copy
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from dff.ensemble import Ensemble
from dff.errors import DataError
from dff.golden import golden_examples
from dff.graphs import write_int8_graph, write_item_graph, write_user_graph
from dff.recommender import Recommender
from dff.tensor_file import write_tensors
from dff.verify import FORMAT, FORMAT_VERSION, INT8, Verdict, int8_error, verify
from dff.whole_files import sync


@dataclass(frozen=True)
class Description:
    """What the manifest says beyond the model itself."""

    name: str
    version: str
    layers: list[str]
    extractor: dict[str, str]  # model, revision, pooling
    training: dict[str, object]  # data_set, users, items, interactions, seed, metrics


def norms(hidden_states: torch.Tensor) -> dict[str, list[float]]:
    """Mean and deviation over items of each layer's L2 norm, (N, L, D) raw; items without features do not count."""
    lengths = torch.cat([states.float().norm(dim=-1) for states in hidden_states.split(1024)])  # (N, L)
    lengths = lengths[lengths.amax(dim=1) > 0].double()
    if not len(lengths):
        return {"mean": [0.0] * hidden_states.shape[1], "std": [0.0] * hidden_states.shape[1]}
    return {"mean": lengths.mean(dim=0).tolist(), "std": lengths.std(dim=0, unbiased=False).tolist()}


def digest(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def manifest(
    model: Recommender | Ensemble, item_ids: list[str], hidden_states: torch.Tensor | None, about: Description, folder: Path
) -> dict:
    tower = model.item_tower
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": about.name,
        "version": about.version,
        "variant": tower.variant,
        "dim": model.user_tower.dim,
        "max_history": model.user_tower.max_history,
        "layers": {"count": len(about.layers), "names": about.layers},
        "hidden_dim": 0 if hidden_states is None else hidden_states.shape[2],
        "similarity": model.similarity,
        "temperature": model.temperature,
        "padding_side": "left",
        "unknown_item_row": tower.unknown_row,
        "item_count": len(item_ids),
        "layer_weights": [] if hidden_states is None else tower.layer_weights().tolist(),
        "hidden_state_norm": {"mean": [], "std": []} if hidden_states is None else norms(hidden_states[: len(item_ids)]),
        "extractor": about.extractor,
        "training": about.training,
        "files": {path.name: digest(path) for path in sorted(folder.iterdir())},
    }


def is_artifact(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def refuse_other_folders(target: Path) -> None:
    """Raises DataError if something stands at `target` that an artifact must not take the place of."""
    if target.exists() and not is_artifact(target) and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{target}: exists and is no artifact; choose another folder, or remove it")


def swap_in(folder: Path, target: Path) -> None:
    """Puts the finished folder in the target's place; an older artifact, if any, goes only after that. A stop between the two renames
    leaves the older one beside the target, under a name that no command takes for an artifact's."""
    refuse_other_folders(target)
    for path in [*folder.iterdir(), folder]:
        sync(path)
    old = target.with_name(f"{target.name}.old-{os.getpid()}")
    if target.exists():
        target.rename(old)
    folder.rename(target)
    sync(target.parent)
    for left in [*target.parent.glob(f"{target.name}.old-*"), *target.parent.glob(f"{target.name}.partial-*")]:
        shutil.rmtree(left, ignore_errors=True)  # of this export, and of those that were killed


def drop_if_inaccurate(path: Path, golden: dict[str, torch.Tensor]) -> None:
    """Weights with outliers lose too much in 8 bits; the artifact does without the optional tower then."""
    try:
        int8_error(path, {name: tensor.numpy() for name, tensor in golden.items()})
    except DataError:
        path.unlink()


@torch.no_grad()
def export(
    model: Recommender | Ensemble, item_ids: list[str], hidden_states: torch.Tensor | None, about: Description, target: Path
) -> Verdict:
    """Exports and verifies through ONNX Runtime before anything appears at `target`.

    item_ids: the trained items, in the order of the ID table's rows from 1. hidden_states: raw (C, L, D), trained items first.
    """
    model = copy.deepcopy(model).cpu().float().eval()
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        golden = golden_examples(model, len(item_ids), hidden_states)
        write_item_graph(model, golden, partial / "item_tower.onnx")
        write_user_graph(model, golden, partial / "user_tower.onnx")
        write_int8_graph(partial / "user_tower.onnx", partial / INT8)
        drop_if_inaccurate(partial / INT8, golden)
        (partial / "item_ids.txt").write_text("".join(f"{item}\n" for item in item_ids), encoding="utf-8")
        write_tensors(partial / "golden.safetensors", golden)
        content = manifest(model, item_ids, hidden_states, about, partial)
        (partial / "model.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        verdict = verify(partial)
        swap_in(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return verdict
