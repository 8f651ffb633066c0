"""Plans the runs of a study, carries them out with an estimate of the time left, and writes the report."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dff import __version__
from dff.errors import DataError
from dff.features import Features, align, load_features
from dff.floors import floors
from dff.folders import make_folder
from dff.interactions import Interactions, read_interactions
from dff.recipe import Recipe
from dff.run import choose_device
from dff.split import leave_one_out
from dff.study.arms import MODES, Arm, arms, single_layers
from dff.study.cold_start import ColdProtocol, cold_metrics, content_scorer, hold_out, random_metrics
from dff.study.report import write_report
from dff.study.runs import Data, Result, cold_run, comparison_run, is_finished, run_folder, stored_result
from dff.training import identity_of
from dff.whole_files import write_json

SUBSET_DRAW = 411  # seed of the users that --users keeps


@dataclass(frozen=True)
class StudyOptions:
    interactions: Path
    features: Path
    out: Path
    recipe: Recipe
    captions: Path | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    layers: str = "auto"
    modes: tuple[str, ...] = tuple(MODES)
    only: tuple[str, ...] | None = None  # of the arms that the settings above give; None: all
    users: int | None = None  # a random part of them, for a quick look
    cold_start: bool = True
    device: str = "auto"
    allow_missing_features: bool = False
    report_only: bool = False  # of the runs that are finished; nothing is trained


@dataclass(frozen=True)
class Planned:
    """One run that is still to be made, or was made before."""

    name: str
    seed: int
    recipe: Recipe
    arm: Arm
    cold: bool  # of the cold protocol


def subset(interactions: Interactions, users: int | None) -> Interactions:
    if users is None or users >= len(interactions.users):
        return interactions
    if users < 1:
        raise DataError(f"--users is {users}; expected 1 or more")
    kept = np.sort(np.random.default_rng(SUBSET_DRAW).permutation(len(interactions.users))[:users])
    users, sequences = [interactions.users[n] for n in kept], [interactions.sequences[n] for n in kept]
    return Interactions(users, sequences, interactions.left_out, interactions.named)


def load(options: StudyOptions) -> tuple[Interactions, Data, Features, Sequence[str]]:
    """Reads everything. The last are the items that the features name, which join the catalogue: none where --users leaves anyone out,
    as it shrinks to the items that the others have then."""
    whole = read_interactions(options.interactions)
    interactions = subset(whole, options.users)
    features = load_features(options.features, whole.named)
    if features.assumption:
        print(features.assumption, flush=True)
    listed = features.item_ids if interactions is whole else ()
    split = leave_one_out(interactions, listed)
    sources = {"states": align(features, split.item_ids, options.features, options.allow_missing_features)}
    if options.captions is not None:
        captions = load_features(options.captions, whole.named)
        sources["captions"] = align(captions, split.item_ids, options.captions, options.allow_missing_features)
    return interactions, Data(split, sources, features.layers), features, listed


def cold_arms(recipe: Recipe, layers: int) -> list[tuple[str, Arm, dict]]:
    """Name, arm and what differs from the recipe. The second tells what training the unknown item gains and costs."""
    everything = tuple(range(layers))
    fusion, content = (Arm(mode, "states", everything, learned=True) for mode in ("fusion", "replacement"))
    chosen = [("cold-fusion", fusion, {})]
    if recipe.id_dropout:
        chosen.append(("cold-fusion-untrained-unknown", fusion, {"id_dropout": 0.0}))
    return [*chosen, ("cold-replacement", content, {})]


def plan(options: StudyOptions, data: Data) -> list[Planned]:
    """Seed by seed, so that a study stopped early has every arm once."""
    states, captions = data.sources["states"], data.sources.get("captions")
    singles = single_layers(options.layers, states.shape[1])
    compared = arms(states.shape[1], singles, 0 if captions is None else captions.shape[1], options.modes)
    runs = []
    for seed in options.seeds:
        recipe = replace(options.recipe, seed=seed).checked()
        runs += [Planned(arm.slug, seed, recipe.of_variant(arm.variant), arm, cold=False) for arm in compared]
        if options.cold_start:
            runs += [
                Planned(name, seed, replace(recipe.of_variant(arm.variant), **changes), arm, cold=True)
                for name, arm, changes in cold_arms(recipe, states.shape[1])
            ]
    return runs if options.only is None else chosen(runs, options.only)


def chosen(runs: list[Planned], only: tuple[str, ...]) -> list[Planned]:
    names = list(dict.fromkeys(planned.name for planned in runs))
    unknown = [name for name in only if name not in names]
    if unknown:
        raise DataError(f"--arms names {', '.join(unknown)}; expected some of {', '.join(names)}")
    return [planned for planned in runs if planned.name in only]


def clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 100 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def time_left(todo: Sequence[Planned], known: dict[str, list[float]]) -> float | None:
    """Seconds; by the same arm with another seed where there is one, else by the mean of all. None before the first run."""
    every = [seconds for times in known.values() for seconds in times]
    if not every:
        return None
    mean = sum(every) / len(every)
    return sum(float(np.mean(known[planned.name])) if planned.name in known else mean for planned in todo)


def study(options: StudyOptions) -> str:
    """Returns a summary for people. Raises DataError for what the caller can repair."""
    if not options.seeds or len(set(options.seeds)) != len(options.seeds):
        raise DataError("--seeds names no seed, or one twice")
    device = choose_device(options.device)
    interactions, data, features, listed = load(options)
    runs = plan(options, data)
    protocol = None
    if any(planned.cold for planned in runs):
        protocol = hold_out(interactions, listed)
    cold_states = None if protocol is None else align(features, protocol.warm.item_ids, options.features, options.allow_missing_features)
    make_folder(options.out)
    print(
        f"{data.split.users} users, {len(data.split.item_ids)} items, {data.sources['states'].shape[1]} layers; "
        f"{len(runs)} runs: {len(runs) // len(options.seeds)} arms, {len(options.seeds)} seeds",
        flush=True,
    )
    results, seconds = {}, {}
    for planned in runs:
        folder = run_folder(options.out, planned.name, planned.seed)
        if not is_finished(folder):  # its states need not be put together to know that
            continue
        split, states = (protocol.warm, cold_states) if planned.cold else (data.split, planned.arm.states(data.sources))
        results[planned.name, planned.seed] = found = stored_result(folder, identity_of(planned.recipe, split, states))
        seconds.setdefault(planned.name, []).append(found.content["total_seconds"])
    todo = [planned for planned in runs if (planned.name, planned.seed) not in results]
    if len(todo) < len(runs):
        print(f"{len(runs) - len(todo)} runs were finished before", flush=True)
    if options.report_only:
        if not results:
            raise DataError(f"{options.out}: none of these runs is finished; leave out --report to train them")
        todo = []
    for number, planned in enumerate(todo, start=1):
        begun = time.monotonic()
        if planned.cold:
            result = cold_run(planned.name, planned.arm, planned.recipe, protocol, cold_states, options.out, device)
        else:
            result = comparison_run(planned.arm, planned.recipe, data, options.out, device)
        results[planned.name, planned.seed] = result
        seconds.setdefault(planned.name, []).append(time.monotonic() - begun)
        print(progress_line(planned, result, number, len(todo), seconds[planned.name][-1], time_left(todo[number:], seconds)), flush=True)
    return finish(options, data, features, protocol, cold_states, list(results.values()), runs)


def progress_line(planned: Planned, result: Result, number: int, count: int, took: float, left: float | None) -> str:
    hit_rate = result.content["cold"]["among_all"]["hr@10"] if planned.cold else result.content["test"]["hr@10"]
    what = "cold" if planned.cold else "test"
    ending = f"; about {clock(left)} left" if left else ""
    return f"[{number}/{count}] {planned.name}, seed {planned.seed}: {what} HR@10 {hit_rate:.4f}, {clock(took)}{ending}"


def finish(
    options: StudyOptions,
    data: Data,
    features: Features,
    protocol: ColdProtocol | None,
    cold_states: torch.Tensor | None,
    results: list[Result],
    runs: list[Planned],
) -> str:
    facts = {
        "dff": __version__,
        "data_set": options.interactions.stem,
        "users": data.split.users,
        "items": len(data.split.item_ids),
        "interactions": int(len(data.split.items)),
        "unseen_targets": float(data.split.cold_targets().mean()),
        "extractor": features.extractor,
        "layers": data.names,
        "recipe": options.recipe.as_dict(),
        "seeds": list(options.seeds),
        "planned": len(runs),
        "floors": floors(data.split),
    }
    if protocol is not None:
        facts["cold"] = {
            "held_out": protocol.items,
            "users": protocol.cold.users,
            "unseen": len(protocol.cold.item_ids) - protocol.cold.trained,
            "content": cold_metrics(protocol, content_scorer(protocol.cold, cold_states)),
            "random": random_metrics(protocol),
        }
    ordered = list(dict.fromkeys(planned.name for planned in runs))
    compared = {planned.name: planned.arm for planned in runs if not planned.cold}
    contents = [result.content for result in results]
    write_json(options.out / "study.json", facts | {"runs": contents})
    return write_report(options.out, facts, results, compared, ordered)
