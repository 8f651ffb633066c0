"""One run from files to artifact: prepare, train, evaluate, export."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dff import __version__
from dff.checkpoint import Progress
from dff.comparison import ID_SEARCH, LONG_ID_SEARCH, Contender, Rivals, compare
from dff.curves import draw_curves
from dff.ensemble import Ensemble
from dff.errors import DataError
from dff.evaluation import evaluate, metrics_of, rank_all, scorer
from dff.export import Description, export
from dff.exposure import exposure, shown_items
from dff.features import Features, align, load_features
from dff.floors import floors
from dff.folders import make_folder
from dff.frequency import by_frequency
from dff.interactions import Interactions, read_interactions
from dff.neighbours import find_neighbours
from dff.principal_axes import principal_axes
from dff.recipe import Recipe
from dff.recommender import Recommender
from dff.split import Split, everything, leave_one_out
from dff.training import seed_everything, train
from dff.verify import Verdict
from dff.whole_files import write_json

NO_EXTRACTOR = {"model": "none", "revision": "none", "pooling": "none"}


@dataclass(frozen=True, kw_only=True)
class Given:
    """What every command that ends in an artifact is told."""

    interactions: Path
    features: Path | None  # only the id variant does without
    out: Path
    device: str = "auto"  # auto, cpu or cuda
    allow_missing_features: bool = False
    name: str = "dff"
    version: str = "1"


@dataclass(frozen=True, kw_only=True)
class RunOptions(Given):
    recipe: Recipe
    preset: str = "default"
    resume: bool = False
    compare: bool = False  # with IDs alone and features alone, and export what is best on valid
    search_ids: bool = False  # the longer search for the settings of IDs alone
    refit: bool = False  # to all interactions before the export


@dataclass(frozen=True)
class Prepared:
    interactions: Interactions
    split: Split
    features: Features | None
    hidden_states: torch.Tensor | None  # (C, L, D), catalogue order

    def of_variant(self, variant: str) -> "Prepared":
        """Without what the variant does not use."""
        return replace(self, features=None, hidden_states=None) if variant == "id" else self

    def on_everything(self) -> "Prepared":
        """With the valid and test targets in training."""
        whole = everything(self.interactions, self.split)
        position = {item: place for place, item in enumerate(self.split.item_ids)}
        rows = torch.tensor([position[item] for item in whole.item_ids])
        return replace(self, split=whole, hidden_states=None if self.hidden_states is None else self.hidden_states[rows])


def choose_device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise DataError("device is cuda, but PyTorch finds none")
    return torch.device("cuda" if wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available()) else "cpu")


def prepare(options: Given, variant: str) -> Prepared:
    interactions = read_interactions(options.interactions)
    if options.features is None:
        if variant != "id":
            raise DataError(f"variant {variant} needs --features")
        return Prepared(interactions, leave_one_out(interactions), None, None)
    features = load_features(options.features, interactions.named)
    if features.assumption:
        print(features.assumption, flush=True)
    split = leave_one_out(interactions, features.item_ids)  # the same catalogue for every variant
    if variant == "id":
        return Prepared(interactions, split, None, None)
    hidden_states = align(features, split.item_ids, options.features, options.allow_missing_features)
    return Prepared(interactions, split, replace(features, hidden_states=torch.empty(0)), hidden_states)  # two copies would be too many


def build_model(recipe: Recipe, split: Split, hidden_states: torch.Tensor | None) -> Recommender:
    seed_everything(recipe.seed)
    layers, hidden_dim = (0, 0) if hidden_states is None else hidden_states.shape[1:]
    model = Recommender(recipe, split.trained, layers, hidden_dim)
    if hidden_states is None:
        return model
    tower, trained = model.item_tower, hidden_states[: split.trained]
    if recipe.standardise:
        tower.fit_standardisation(trained)
    borrows = recipe.neighbours > 0 and recipe.variant == "dff"
    if recipe.principal_start or borrows:
        means = tower.layer_means(trained)
        axes = principal_axes(means)
        if recipe.principal_start:
            tower.start_at_principal_axes(means, axes, recipe.content_start)
        if borrows:
            tower.neighbours = find_neighbours(means, axes, torch.from_numpy(split.train_counts()), recipe.neighbours)
    return model


def configuration(options: RunOptions, data: Prepared, device: torch.device) -> dict[str, object]:
    return {
        "dff": __version__,
        "torch": torch.__version__,
        "device": device.type,
        "preset": options.preset,
        "recipe": options.recipe.as_dict(),
        "interactions": options.interactions.name,
        "features": None if options.features is None or data.features is None else options.features.name,
        "name": options.name,
        "version": options.version,
    }


def quality(model: Recommender | Ensemble, data: Prepared) -> dict[str, object]:
    score = scorer(model, data.split, data.hidden_states)
    ranks, cold = rank_all(data.split, "test", score), data.split.cold_targets()
    return {
        "valid": evaluate(model, data.split, data.hidden_states, "valid"),
        "test": metrics_of(ranks),
        "test_cold": metrics_of(ranks[cold]),  # users whose target never occurs in training
        "by_frequency": by_frequency(model, data.split, data.hidden_states, ranks),
        "exposure": exposure(data.split, shown_items(data.split, score)),
        "users": data.split.users,
        "users_left_out": data.interactions.left_out,
        "items": len(data.split.item_ids),
        "interactions": data.interactions.count(),
        "cold_targets": float(cold.mean()),
        "repeated_targets": float(data.split.repeated_targets().mean()),
        "floors": floors(data.split),
    }


def measure(model: Recommender, data: Prepared, recipe: Recipe, progress: Progress) -> dict[str, object]:
    return quality(model, data) | {
        "seed": recipe.seed,
        "variant": recipe.variant,
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "seconds": round(progress.seconds, 1),
        "curve": progress.curve,
        "recipe": recipe.as_dict(),
    }


def describe(options: Given, data: Prepared, metrics: dict) -> Description:
    features = data.features
    return Description(
        name=options.name,
        version=options.version,
        layers=[] if features is None else features.layers,
        extractor=NO_EXTRACTOR if features is None else features.extractor,
        training={
            "data_set": options.interactions.stem,
            "users": metrics["users"],
            "items": metrics["items"],
            "interactions": metrics["interactions"],
            "seed": metrics["seed"],
            "metrics": {"valid": metrics["valid"], "test": metrics["test"]},
        },
    )


def table(name: str, metrics: dict) -> list[str]:
    """What the data were and how the model did on them, beside two rankers without learning."""

    def row(name: str, values: dict[str, float]) -> str:
        return f"  {name:<22}" + "".join(f"{values[key]:>10.4f}" for key in ("hr@10", "ndcg@10", "hr@20", "ndcg@20"))

    return [
        f"{metrics['users']} users ({metrics['users_left_out']} with too few interactions left out), {metrics['items']} items, "
        f"{metrics['interactions']} interactions, {metrics['cold_targets']:.1%} of the test targets never trained on"
        + (f", {metrics['repeated_targets']:.1%} stand in the history too and can never be found" if metrics["repeated_targets"] else ""),
        f"  {'test':<22}{'HR@10':>10}{'NDCG@10':>10}{'HR@20':>10}{'NDCG@20':>10}",
        row("most popular", metrics["floors"]["popularity"]),
        row("item kNN", metrics["floors"]["item_knn"]),
        row(name, metrics["test"]),
    ]


def summary(options: RunOptions, metrics: dict, verdict: Verdict, told: list[str]) -> str:
    trained = f"best epoch {metrics['best_epoch']} of {metrics['epochs']}, {metrics['seconds']:.0f} s of training"
    return "\n".join([*table(metrics["variant"], metrics), trained, *told, *verdict.lines(options.out / "artifact")])


def keep_other_run(options: RunOptions) -> None:
    """Raises DataError when the folder holds a finished run of other settings: a server may use its artifact."""
    config, artifact = options.out / "config.json", options.out / "artifact" / "model.json"
    if not (config.exists() and artifact.exists()):
        return
    found = json.loads(config.read_text(encoding="utf-8"))
    wanted = {
        "recipe": options.recipe.as_dict(),
        "interactions": options.interactions.name,
        "name": options.name,
        "version": options.version,
    }
    for name, value in wanted.items():
        if found.get(name) != value:
            raise DataError(f"{options.out}: holds a finished run with another {name}; choose another --out, or remove the folder")


def run(options: RunOptions) -> str:
    """Runs everything and returns a summary for people. Raises DataError for what the caller can repair."""
    recipe, out = options.recipe, options.out
    device = choose_device(options.device)
    if not options.resume:  # which compares settings by itself
        keep_other_run(options)
    data = prepare(options, recipe.variant)
    make_folder(out)
    model = build_model(recipe, data.split, data.hidden_states).to(device)
    progress = train(model, recipe, data.split, data.hidden_states, out / "checkpoint.pt", options.resume, report_epoch)
    metrics = measure(model, data, recipe, progress)
    draw_curves(progress, options.recipe.chosen_by, out / "curves.png")
    told: list[str] = []
    if options.compare and recipe.variant == "dff":
        rivals = Rivals(data.split, lambda own, states: build_model(own, data.split, states).to(device), out, options.resume)
        fusion = Contender(recipe, model, progress, metrics["valid"], metrics["test"])
        compared = compare(fusion, data.hidden_states, rivals, LONG_ID_SEARCH if options.search_ids else ID_SEARCH)
        told = compared.lines()
        model, progress, recipe = compared.chosen.model, compared.chosen.progress, compared.chosen.recipe
        if compared.chosen is not fusion:
            data = data.of_variant(recipe.variant)
            metrics = measure(model, data, recipe, progress)
        metrics["comparison"] = compared.as_dict()
    if options.refit:
        told.append(f"fitted again to all interactions, for {progress.best_epoch} epochs; the figures are of the model before")
        model, data = refit(refit_recipe(recipe, progress), data, device, out, options.resume)
        metrics["refit"] = True
    metrics_file = out / "metrics.json"
    metrics_file.unlink(missing_ok=True)  # those of another artifact: a kill must not leave them beside this one
    trained = data.split.item_ids[: data.split.trained]
    verdict = export(model, trained, data.hidden_states, describe(options, data, metrics), out / "artifact")
    write_json(out / "config.json", configuration(options, data, device))
    write_json(metrics_file, metrics)
    return summary(options, metrics, verdict, told)


def refit_recipe(recipe: Recipe, progress: Progress) -> Recipe:
    """As many epochs as were best on valid, by the gain of the best one: a split without targets can find neither."""
    gain = progress.curve[progress.best_epoch - 1]["gain"]
    return replace(recipe, epochs=progress.best_epoch, content_gain=gain, gain_search=False)


def refit(recipe: Recipe, data: Prepared, device: torch.device, out: Path, resume: bool) -> tuple[Recommender, Prepared]:
    """Trains anew on every interaction, the valid and test targets included."""
    whole = data.on_everything()
    model = build_model(recipe, whole.split, whole.hidden_states).to(device)
    train(model, recipe, whole.split, whole.hidden_states, out / "checkpoint-refit.pt", resume, keep="last")
    return model, whole


def report_epoch(progress: Progress) -> None:
    point = progress.curve[-1]
    mark = "  best so far" if progress.best_epoch == progress.epoch else ""
    print(
        f"epoch {progress.epoch}: loss {point['loss']:.4f}, valid HR@10 {point['hr@10']:.4f}, "
        f"NDCG@10 {point['ndcg@10']:.4f}, {point['seconds']:.1f} s{mark}",
        flush=True,
    )
