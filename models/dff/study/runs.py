"""Trains and measures one arm with one seed, and keeps the result: a study that is stopped goes on where it was."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dff.checkpoint import Progress
from dff.errors import DataError
from dff.evaluation import evaluate, metrics_of, rank_all, scorer
from dff.exposure import exposure, shown_items
from dff.frequency import by_frequency
from dff.recipe import Recipe
from dff.recommender import Recommender
from dff.run import build_model
from dff.split import Split
from dff.study.arms import Arm
from dff.study.cold_start import ColdProtocol, cold_metrics
from dff.training import identity_of, train
from dff.whole_files import whole_file, write_json


@dataclass(frozen=True)
class Data:
    split: Split
    sources: dict[str, torch.Tensor]  # states and captions, (C, L, D) each, in the catalogue's order
    names: list[str]  # of the states' layers


@dataclass(frozen=True)
class Result:
    arm: str
    seed: int
    content: dict  # what result.json holds
    ranks: np.ndarray  # int64 [users], of the test targets


def run_folder(out: Path, name: str, seed: int) -> Path:
    return out / "runs" / f"{name}-seed-{seed}"


def is_finished(folder: Path) -> bool:
    return (folder / "result.json").exists()


def stored_result(folder: Path, identity: dict) -> Result:
    """A finished run; raises DataError if it stems from another recipe or other data."""
    try:
        content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        ranks = np.load(folder / "ranks.npy", allow_pickle=False)
        stored = content["identity"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder}: not a finished run ({error}); remove it") from error
    differing = sorted(key for key in identity.keys() | stored.keys() if identity.get(key) != stored.get(key))
    if differing:
        raise DataError(f"{folder}: was made with another {', '.join(differing)}; choose another --out")
    return Result(content["arm"], content["seed"], content, ranks.astype(np.int64))


def keep_result(folder: Path, result: Result) -> Result:
    """The ranks first: a run counts as finished once its result.json is there."""
    with whole_file(folder / "ranks.npy") as partial, partial.open("wb") as stream:
        np.save(stream, np.minimum(result.ranks, np.iinfo(np.int32).max).astype(np.int32))
    write_json(folder / "result.json", result.content)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    return result


def fit(
    recipe: Recipe, arm: Arm, split: Split, states: torch.Tensor | None, folder: Path, device: torch.device
) -> tuple[Recommender, Progress]:
    """Trains one model, going on from a checkpoint if a stop left one; the model holds the best weights."""
    folder.mkdir(parents=True, exist_ok=True)
    model = build_model(recipe, split, states).to(device)
    if states is not None and not arm.learned:
        model.item_tower.layer_logits.requires_grad_(False)  # they stay equal: the uniform mean
    progress = train(model, recipe, split, states, folder / "checkpoint.pt", resume=True)
    return model, progress


def summary_of(arm: str, recipe: Recipe, identity: dict, model: Recommender, progress: Progress) -> dict:
    tower = model.item_tower
    return {
        "arm": arm,
        "seed": recipe.seed,
        "identity": identity,
        "layer_weights": [] if tower.variant == "id" else tower.layer_weights().tolist(),
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "seconds": round(progress.seconds, 2),
        "curve": progress.curve,
    }


def comparison_run(arm: Arm, recipe: Recipe, data: Data, out: Path, device: torch.device) -> Result:
    """One arm of the comparison: accuracy on valid and test, and what the ranking shows of the catalogue."""
    states = arm.states(data.sources)
    folder, begun = run_folder(out, arm.slug, recipe.seed), time.monotonic()
    model, progress = fit(recipe, arm, data.split, states, folder, device)
    score = scorer(model, data.split, states)
    ranks = rank_all(data.split, "test", score)
    cold = data.split.cold_targets()
    content = summary_of(arm.slug, recipe, identity_of(recipe, data.split, states), model, progress) | {
        "valid": evaluate(model, data.split, states, "valid"),
        "test": metrics_of(ranks),
        "test_unseen": metrics_of(ranks[cold]),  # users whose target never occurs in training
        "by_frequency": by_frequency(model, data.split, states, ranks),
        "exposure": exposure(data.split, shown_items(data.split, score)),
        "total_seconds": round(time.monotonic() - begun, 2),
    }
    return keep_result(folder, Result(arm.slug, recipe.seed, content, ranks))


def cold_run(name: str, arm: Arm, recipe: Recipe, protocol: ColdProtocol, states: torch.Tensor, out: Path, device: torch.device) -> Result:
    """One ranker of the cold protocol: how it finds items it never saw, and whether it still finds those it did."""
    folder, begun = run_folder(out, name, recipe.seed), time.monotonic()
    model, progress = fit(recipe, arm, protocol.warm, states, folder, device)
    ranks = rank_all(protocol.warm, "test", scorer(model, protocol.warm, states))
    content = summary_of(name, recipe, identity_of(recipe, protocol.warm, states), model, progress) | {
        "warm": metrics_of(ranks[~protocol.warm.cold_targets()]),
        "cold": cold_metrics(protocol, scorer(model, protocol.cold, states)),
        "total_seconds": round(time.monotonic() - begun, 2),
    }
    return keep_result(folder, Result(name, recipe.seed, content, ranks))
