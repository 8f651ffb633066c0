"""The command line: one command for each step from video files to an artifact."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dff import demo
from dff.errors import DataError
from dff.extraction import command as extract
from dff.recipe import CHOICES, PRESETS, Recipe, build_recipe

# Recipe settings that the command line can change: flag, type, help.
SETTINGS = (
    ("variant", str, "dff fuses IDs and features, id has IDs only, replacement features only"),
    ("seed", int, "of every random draw"),
    ("dim", int, "width of item and user vectors"),
    ("max_history", int, "items of a history that the user tower sees"),
    ("blocks", int, "transformer blocks"),
    ("heads", int, "attention heads"),
    ("activation", str, "of the projected hidden states"),
    ("neighbours", int, "items with the most similar hidden states, whose IDs an item borrows from; 0 for none"),
    ("similarity", str, "of user and item vector"),
    ("temperature", float, "that the similarity is divided by"),
    ("loss", str, "over the whole catalogue or over the items of a batch"),
    ("rows", str, "learn after every position of a sequence, or after each prefix on its own"),
    ("precision", str, "of the full softmax; auto: bfloat16 where the device has instructions for it"),
    ("chunk", int, "positions whose full softmax is in memory at once"),
    ("dropout", float, "of the user tower"),
    (
        "content_gain",
        float,
        "weight of the hidden states in an item vector, against what training alone would give them",
    ),
    ("id_dropout", float, "chance that an item trains the unknown-item row"),
    ("batch_size", int, "training rows in a step, at most"),
    ("min_steps", int, "of an epoch: with fewer rows batches are smaller"),
    ("epochs", int, "at most"),
    ("lr", float, "learning rate"),
    ("schedule", str, "of the learning rate"),
    ("weight_decay", float, "of AdamW"),
    ("chosen_by", str, "measure on valid by which the epoch is chosen"),
    ("patience", int, "epochs without a better one"),
)
SWITCHES = (
    ("log_q", "in-batch loss: correct for popularity"),
    ("norm_first", "LayerNorm before attention and feed-forward"),
    ("history_mean", "add a learned, weighted mean of the history's item vectors to the user vector; for cosines"),
    ("principal_start", "let the projection of hidden states start as their principal axes"),
    ("standardise", "hidden states by mean and deviation of the trained items"),
)

DEFAULT = PRESETS["default"]


def add_run(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("run", help="prepare, train, evaluate and export")
    add_files_and_names(parser)
    add_recipe_flags(parser)
    parser.add_argument("--resume", action="store_true", help="go on after the last finished epoch in FOLDER")
    parser.add_argument(
        "--no-comparison",
        action="store_true",
        help="export fusion without training IDs and features alone, which say whether it pays",
    )
    parser.add_argument(
        "--search-ids",
        action="store_true",
        help="try IDs alone with other rates, dropout and weight decay too: up to 8 trainings instead of 2",
    )
    parser.add_argument("--refit", action="store_true", help="export a model that is fitted again to all interactions, targets included")
    parser.set_defaults(call=call_run)


def add_files_and_names(parser: argparse.ArgumentParser) -> None:
    """What every command needs that leads from interactions to an artifact."""
    parser.add_argument("--interactions", type=Path, required=True, metavar="FILE")
    parser.add_argument("--features", type=Path, metavar="FILE", help="hidden states; not needed for the variant id")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads of PyTorch")
    parser.add_argument("--allow-missing-features", action="store_true", help="items without features train on their ID alone")
    parser.add_argument("--name", default="dff", help="of the model, for the manifest")
    parser.add_argument("--version", default="1", help="of the model, for the manifest")


def add_combine(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("combine", help="join finished runs, of other seeds for example, into one artifact that scores better")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, metavar="FOLDER", help="that `run` wrote, of the same data")
    add_files_and_names(parser)
    parser.set_defaults(call=call_combine)


def call_combine(arguments: argparse.Namespace) -> str:
    from dff.combine import CombineOptions, combine_runs

    set_threads(arguments.threads)
    return combine_runs(CombineOptions(runs=arguments.runs, **given(arguments)))


def given(arguments: argparse.Namespace) -> dict[str, object]:
    """What `add_files_and_names` asked for, but for the threads."""
    names = ("interactions", "features", "out", "device", "allow_missing_features", "name", "version")
    return {name: getattr(arguments, name) for name in names}


def add_recipe_flags(parser: argparse.ArgumentParser, without: Sequence[str] = ()) -> None:
    parser.add_argument("--preset", choices=sorted(PRESETS), default="default", help="what the others start from; in brackets: default")
    for name, kind, text in SETTINGS:
        if name not in without:
            parser.add_argument(flag(name), type=kind, choices=CHOICES.get(name), help=f"{text} ({getattr(DEFAULT, name)})")
    for name, text in SWITCHES:
        parser.add_argument(flag(name), action=argparse.BooleanOptionalAction, help=f"{text} ({'on' if getattr(DEFAULT, name) else 'off'})")


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    given = {name: getattr(arguments, name, None) for name, *_ in SETTINGS + SWITCHES}
    return build_recipe(arguments.preset, **{name: value for name, value in given.items() if value is not None})


def set_threads(threads: int | None) -> None:
    import torch

    if threads is None:
        return
    if threads < 1:
        raise DataError(f"--threads is {threads}; expected 1 or more")
    torch.set_num_threads(threads)


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def call_run(arguments: argparse.Namespace) -> str:
    from dff.run import RunOptions, run

    set_threads(arguments.threads)
    recipe = recipe_of(arguments)
    if arguments.search_ids and (arguments.no_comparison or recipe.variant != "dff"):
        raise DataError("--search-ids is about the comparison of fusion with IDs alone, which --no-comparison and other variants leave out")
    how = {"preset": arguments.preset, "resume": arguments.resume, "compare": not arguments.no_comparison, "refit": arguments.refit}
    return run(RunOptions(recipe=recipe, search_ids=arguments.search_ids, **how, **given(arguments)))


def add_study(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("study", help="compare IDs, captions, layers and their mixes, fused and in place of IDs")
    parser.add_argument("--interactions", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--features", type=Path, required=True, metavar="PATH", help="hidden states: a file, or the folder of an extraction"
    )
    parser.add_argument("--captions", type=Path, metavar="FILE", help="representation of captions, as extract --captions writes it")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="finished runs in it are kept, a broken-off one goes on")
    parser.add_argument("--seeds", type=numbers, default=(0, 1, 2), metavar="N,N,…", help="default: 0,1,2")
    parser.add_argument("--layers", default="auto", help="alone: auto (at most 8), all, none, or numbers such as 0,4,8 (default: auto)")
    parser.add_argument("--modes", choices=("both", "fusion", "replacement"), default="both")
    parser.add_argument("--arms", metavar="NAME,…", help="only these of the arms that the other flags would give: id,fusion-dff,…")
    parser.add_argument("--users", type=int, metavar="N", help="a random part of the users, for a quick look")
    parser.add_argument("--report", action="store_true", help="train nothing, write the report of the runs that are finished")
    parser.add_argument("--no-cold-start", action="store_true", help="leave out the protocol of items that training never saw")
    add_recipe_flags(parser, without=("variant", "seed"))
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads of PyTorch")
    parser.add_argument("--allow-missing-features", action="store_true", help="items without features train on their ID alone")
    parser.set_defaults(call=call_study)


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def call_study(arguments: argparse.Namespace) -> str:
    from dff.study.arms import MODES
    from dff.study.study import StudyOptions, study

    set_threads(arguments.threads)
    return study(
        StudyOptions(
            interactions=arguments.interactions,
            features=arguments.features,
            captions=arguments.captions,
            out=arguments.out,
            recipe=recipe_of(arguments),
            seeds=arguments.seeds,
            layers=arguments.layers,
            modes=tuple(MODES) if arguments.modes == "both" else (arguments.modes,),
            only=None if arguments.arms is None else tuple(arguments.arms.split(",")),
            users=arguments.users,
            cold_start=not arguments.no_cold_start,
            device=arguments.device,
            allow_missing_features=arguments.allow_missing_features,
            report_only=arguments.report,
        )
    )


def add_encode_titles(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("encode-titles", help="hidden states of a small text encoder from item titles")
    parser.add_argument("--titles", type=Path, required=True, metavar="CSV", help="columns item and title")
    parser.add_argument("--column", default="title", help="of the texts (default: %(default)s)")
    parser.add_argument("--encoder", metavar="NAME", help="text encoder: a name on the hub or a folder (default: the bundled MiniLM)")
    parser.add_argument("--last-layer", action="store_true", help="keep the last layer only, as a representation of captions")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.set_defaults(call=call_encode_titles)


def call_encode_titles(arguments: argparse.Namespace) -> str:
    from dff.titles import BUNDLED_ENCODER, encode_titles

    encoder = arguments.encoder or BUNDLED_ENCODER
    shape = encode_titles(arguments.titles, arguments.out, arguments.batch_size, arguments.column, encoder, arguments.last_layer)
    return f"{arguments.out}: {shape[0]} items, {shape[1]} layers of width {shape[2]}"


def add_import_reference(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("import-reference", help="make an artifact of weights trained with the paper's own code")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="state dict: .pt, .pth or .safetensors")
    parser.add_argument("--features", type=Path, required=True, metavar="PATH", help="the hidden states that it was trained on")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the artifact")
    parser.add_argument("--item-ids", type=Path, metavar="FILE", help="line k is the item of row k of the ID table")
    parser.add_argument("--heads", type=int, default=2, help="of the attention; a state dict does not tell (default: %(default)s)")
    parser.add_argument(
        "--similarity", choices=CHOICES["similarity"], default="dot", help="that they were trained to rank by (default: %(default)s)"
    )
    parser.add_argument("--temperature", type=float, default=1.0, help="that scores are divided by (default: %(default)s)")
    parser.add_argument("--allow-missing-features", action="store_true", help="items without features live on their ID alone")
    parser.add_argument("--name", default="dff", help="of the model, for the manifest")
    parser.add_argument("--version", default="1", help="of the model, for the manifest")
    parser.set_defaults(call=call_import_reference)


def call_import_reference(arguments: argparse.Namespace) -> str:
    from dff.import_reference import ImportOptions, import_reference

    return import_reference(
        ImportOptions(
            checkpoint=arguments.checkpoint,
            features=arguments.features,
            out=arguments.out,
            item_ids=arguments.item_ids,
            heads=arguments.heads,
            similarity=arguments.similarity,
            temperature=arguments.temperature,
            allow_missing_features=arguments.allow_missing_features,
            name=arguments.name,
            version=arguments.version,
        )
    )


def add_verify(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("verify", help="check an artifact's digests, shapes and golden examples")
    parser.add_argument("artifact", type=Path)
    parser.set_defaults(call=call_verify)


def call_verify(arguments: argparse.Namespace) -> str:
    from dff.verify import verify

    verdict = verify(arguments.artifact)
    return (
        f"{arguments.artifact}: holds\nfingerprint {verdict.fingerprint}\nlargest error: items {verdict.item_error:.1e}, "
        f"users {verdict.user_error:.1e}, histories without padding {verdict.short_history_error:.1e}"
        + ("" if verdict.int8_error is None else f"\nrelative error of the 8-bit user tower {verdict.int8_error:.1e}")
    )


def add_extract(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("extract", help="hidden states and captions of video files from a frozen video language model")
    extract.add_arguments(parser)
    parser.set_defaults(call=extract.run)


def add_demo(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("demo", help="make the bundled synthetic catalogue and train its model")
    demo.add_arguments(parser)
    parser.set_defaults(call=demo.run)


def add_scan_graphs(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("scan-graphs", help="write the graphs that a server searches whole catalogues with")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.set_defaults(call=call_scan_graphs)


def call_scan_graphs(arguments: argparse.Namespace) -> str:
    from dff.scan_graph import write_scan_graphs

    write_scan_graphs(arguments.out)
    return f"{arguments.out}: written"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dff", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_extract(commands)
    add_run(commands)
    add_combine(commands)
    add_study(commands)
    add_encode_titles(commands)
    add_import_reference(commands)
    add_verify(commands)
    add_demo(commands)
    add_scan_graphs(commands)
    arguments = parser.parse_args(argv)
    try:
        print(arguments.call(arguments))
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
