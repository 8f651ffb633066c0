"""Joins finished runs into one artifact: `python -m dff combine`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from dff.checkpoint import best_of, load_weights
from dff.ensemble import combine
from dff.errors import DataError
from dff.evaluation import catalogue_vectors
from dff.export import export
from dff.folders import make_folder
from dff.recipe import Recipe
from dff.recommender import Recommender
from dff.run import Given, Prepared, build_model, choose_device, describe, prepare, quality, table
from dff.training import identity_of, is_over
from dff.whole_files import write_json


@dataclass(frozen=True, kw_only=True)
class CombineOptions(Given):
    runs: list[Path]  # folders that `dff run` wrote


DATA = {"data", "features"}  # what a run's identity holds besides its recipe


def recipe_of(identity: dict, path: Path) -> Recipe:
    known = {field.name for field in dataclasses.fields(Recipe)}
    if identity.keys() != known | DATA:
        differing = ", ".join(sorted(identity.keys() ^ (known | DATA)))
        raise DataError(f"{path}: was written by another version of this package (settings {differing})")
    return Recipe(**{name: value for name, value in identity.items() if name not in DATA}).checked()


def members_of(options: CombineOptions) -> tuple[list[Recommender], list[Recipe], Prepared]:
    """Models with their best weights. Raises DataError where a run is of other data or is there twice."""
    members: list[Recommender] = []
    recipes: list[Recipe] = []
    data = None
    for folder in options.runs:
        path = folder / "checkpoint.pt"
        state, identity, progress = best_of(path)
        recipe = recipe_of(identity, path)
        if not is_over(recipe, progress):
            raise DataError(f"{path}: has trained {progress.epoch} of {recipe.epochs} epochs; finish it by `run … --resume`")
        if recipe in recipes:
            raise DataError(f"{path}: has the recipe and the seed of {options.runs[recipes.index(recipe)]}; nothing is gained by both")
        if recipes and recipe.variant != recipes[0].variant:
            raise DataError(f"{path}: is of variant {recipe.variant}, {options.runs[0]} of {recipes[0].variant}")
        data = data or prepare(options, recipe.variant)
        expected = identity_of(recipe, data.split, data.hidden_states)
        if identity["data"] != expected["data"]:
            raise DataError(f"{path}: was trained on other interactions than {options.interactions}")
        if identity["features"] != expected["features"]:
            raise DataError(f"{path}: was trained with other features than {options.features}")
        model = build_model(recipe, data.split, data.hidden_states)
        load_weights(model, state, path)
        members.append(model)
        recipes.append(recipe)
    assert data is not None  # there are two runs at least
    return members, recipes, data


def combine_runs(options: CombineOptions) -> str:
    """Measures and exports the sum of several runs, and returns a summary for people."""
    if len(options.runs) < 2:
        raise DataError(f"{len(options.runs)} run given; expected two or more to combine")
    device = choose_device(options.device)
    members, recipes, data = members_of(options)
    members = [member.to(device) for member in members]
    vectors = [catalogue_vectors(member.eval(), data.split, data.hidden_states)[: data.split.trained] for member in members]
    model = combine(members, vectors)
    make_folder(options.out)
    metrics = quality(model, data) | {
        "seed": recipes[0].seed,
        "variant": recipes[0].variant,
        "members": [{"run": str(run), "recipe": recipe.as_dict()} for run, recipe in zip(options.runs, recipes, strict=True)],
    }
    metrics_file = options.out / "metrics.json"
    metrics_file.unlink(missing_ok=True)  # those of another artifact
    about = describe(options, data, metrics)
    verdict = export(model, data.split.item_ids[: data.split.trained], data.hidden_states, about, options.out / "artifact")
    write_json(metrics_file, metrics)
    name = f"{len(members)} × {recipes[0].variant}"
    return "\n".join([*table(name, metrics), *verdict.lines(options.out / "artifact")])
