"""What a study found, in words, tables and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dff.study.arms import Arm
from dff.study.document import Block, Heading, Picture, Table, Text, markdown, page
from dff.study.figures import Profile, draw_bars, draw_profile
from dff.study.runs import Result
from dff.study.spread import Difference, Spread, paired_difference, spread
from dff.whole_files import write_text

METRICS = ("hr@10", "ndcg@10", "hr@20", "ndcg@20")
EXPOSURE = ("coverage@20", "gini@20", "novelty@20")
TITLE = "What the hidden states of a frozen video model are worth"
COLD_NAMES = {
    "cold-fusion": "DFF, through the unknown item",
    "cold-fusion-untrained-unknown": "DFF, the unknown item not trained but the mean of all",
    "cold-replacement": "features in place of IDs, trained",
}


class Findings:
    """All results of a study, by arm."""

    def __init__(self, results: Sequence[Result], arms: dict[str, Arm], order: Sequence[str], layers: Sequence[str]) -> None:
        self.arms, self.layers = arms, layers
        by_arm: dict[str, list[Result]] = {}
        for result in sorted(results, key=lambda result: result.seed):
            by_arm.setdefault(result.arm, []).append(result)
        self.by_arm = {name: by_arm[name] for name in order if name in by_arm}

    def has(self, *names: str | None) -> bool:
        return all(name in self.by_arm for name in names)

    def over_seeds(self, name: str, *keys: str) -> Spread:
        values = []
        for result in self.by_arm[name]:
            value = result.content
            for key in keys:
                value = value[key]
            values.append(value)
        return spread(values)

    def weights(self, name: str) -> list[Spread]:
        return [spread(values) for values in zip(*(result.content["layer_weights"] for result in self.by_arm[name]), strict=True)]

    def main(self, mode: str) -> str:
        """The arm that uses all that the features have: the learned mix, or their only layer."""
        return f"{mode}-dff" if len(self.layers) > 1 else f"{mode}-layer-0"

    def difference(self, first: str, second: str) -> Difference | None:
        """None where no seed was trained for both."""
        ranks = {name: {result.seed: result.ranks for result in self.by_arm[name]} for name in (first, second)}
        seeds = sorted(ranks[first].keys() & ranks[second].keys())
        return paired_difference([ranks[first][seed] for seed in seeds], [ranks[second][seed] for seed in seeds]) if seeds else None

    def singles(self, mode: str) -> dict[int, str]:
        """Layer and arm of each single layer that was trained."""
        return {
            arm.layers[0]: name
            for name, arm in self.arms.items()
            if name in self.by_arm and arm.mode == mode and arm.source == "states" and len(arm.layers) == 1
        }

    def best_single(self, mode: str) -> str | None:
        """By valid, never by test; None where there is nothing to choose from."""
        singles = self.singles(mode).values()
        return max(singles, key=self.valid_hit_rate) if len(singles) > 1 else None

    def worst_single(self, mode: str) -> str | None:
        singles = self.singles(mode).values()
        return min(singles, key=self.valid_hit_rate) if len(singles) > 1 else None

    def valid_hit_rate(self, name: str) -> float:
        return self.over_seeds(name, "valid", "hr@10").mean

    def label(self, name: str) -> str:
        arm = self.arms[name]
        if arm.source == "none":
            return "ID only"
        if arm.source == "captions":
            what = "caption"
        elif len(arm.layers) == 1:
            what = self.layers[arm.layers[0]] + (" (the last)" if arm.layers[0] == len(self.layers) - 1 else "")
        else:
            what = "learned mix" if arm.learned else "uniform mean of layers"
        return f"{arm.mode}: {what}" + (" = DFF" if name == self.main("fusion") else "")


def figure(value: float) -> str:
    return f"{value:.4f}"


def with_spread(value: Spread, digits: int = 4) -> str:
    text = f"{value.mean:.{digits}f}"
    return text if value.seeds == 1 else f"{text} ± {value.deviation:.{digits}f}"


def relative(difference: Difference) -> str:
    return f"{difference.relative:+.1%}" if np.isfinite(difference.relative) else ""


def interval(difference: Difference) -> str:
    return f"{difference.low:+.4f} to {difference.high:+.4f}"


VERDICTS = {"higher": "shown", "lower": "refuted", "not told apart": "undecided"}


@dataclass(frozen=True)
class Claim:
    """That the first arm beats the second, and what the test users say of it; None where it was not measured."""

    text: str
    first: str | None
    second: str | None
    difference: Difference | None

    @property
    def verdict(self) -> str:
        if self.difference is None:
            return "not measured"
        return VERDICTS[self.difference.verdict] + (" for this seed" if self.difference.seeds == 1 else "")


def claim(text: str, found: Findings, first: str | None, second: str | None) -> Claim:
    measured = first is not None and second is not None and first != second and found.has(first, second)
    return Claim(text, first, second, found.difference(first, second) if measured else None)


def claims(found: Findings) -> list[Claim]:
    """The paper's findings, numbered as it has them, after the one that all rest on."""
    last = f"layer-{len(found.layers) - 1}"
    best = {mode: found.best_single(mode) for mode in ("fusion", "replacement")}
    dff = found.main("fusion")
    return [
        claim("Fusion beats IDs alone", found, dff, "id"),
        claim("1. States beat captions: best layer, in place of IDs", found, best["replacement"], "replacement-caption"),
        claim("1. States beat captions: best layer, fused", found, best["fusion"], "fusion-caption"),
        claim("1. States beat captions: all layers, fused", found, dff, "fusion-caption"),
        claim("2. Fusion beats replacement: learned mix", found, dff, found.main("replacement")),
        claim("2. Fusion beats replacement: last layer", found, f"fusion-{last}", f"replacement-{last}"),
        claim("3. Layers differ: best and worst, in place of IDs", found, best["replacement"], found.worst_single("replacement")),
        claim("3. Layers differ: best and worst, fused", found, best["fusion"], found.worst_single("fusion")),
        claim("3. The learned mix beats the last layer", found, dff, f"fusion-{last}"),
        claim("3. The learned mix beats the uniform mean", found, dff, "fusion-uniform"),
        claim("3. The learned mix beats the best layer", found, dff, best["fusion"]),
    ]


def claim_row(found: Findings, made: Claim) -> list[str]:
    if made.difference is None:
        return [made.text, made.verdict, "", "", "", ""]
    compared = f"{found.label(made.first)} against {found.label(made.second)}"
    return [made.text, made.verdict, f"{made.difference.mean:+.4f}", relative(made.difference), interval(made.difference), compared]


def claim_table(found: Findings) -> Table:
    header = ["claim", "verdict", "difference of HR@10", "relative", "95 % interval", "arms"]
    return Table(header, [claim_row(found, made) for made in claims(found)])


def comparison(found: Findings, facts: dict) -> Table:
    rows = [
        [name, *(figure(values[key]) for key in METRICS), "", "", ""]
        for name, values in (("most popular", facts["floors"]["popularity"]), ("item kNN", facts["floors"]["item_knn"]))
    ]
    names = [name for name in found.by_arm if name in found.arms]
    for name in names:
        exposed = [with_spread(found.over_seeds(name, "exposure", key), 2 if key == "novelty@20" else 3) for key in EXPOSURE]
        rows.append([found.label(name), *(with_spread(found.over_seeds(name, "test", key)) for key in METRICS), *exposed])
    strong = 2 + names.index(found.main("fusion")) if found.main("fusion") in names else None
    header = ["test", "HR@10", "NDCG@10", "HR@20", "NDCG@20", "coverage@20", "Gini@20", "novelty@20, bits"]
    return Table(header, rows, strong)


def frequency_table(found: Findings, names: Sequence[str]) -> Table:
    """HR@10 of every arm by how often the target occurs in training, and what DFF's gate leaves to the IDs of such items."""
    first = found.by_arm[names[0]][0].content["by_frequency"]
    bands = [row["occurrences"] for row in first]

    def cells(name: str, key: str, digits: int) -> list[str]:
        columns = ([result.content["by_frequency"][band][key] for result in found.by_arm[name]] for band in range(len(bands)))
        return ["" if None in values else with_spread(spread(values), digits) for values in columns]

    rows = [["share of the targets", *(f"{row['targets']:.3f}" for row in first)]]
    rows += [[found.label(name), *cells(name, "hr@10", 4)] for name in names]
    if found.main("fusion") in names:
        rows.append(["share of the ID in DFF's vectors", *cells(found.main("fusion"), "id_share", 2)])
    return Table(["HR@10 of targets that occur so often in training", *bands], rows)


def frequency_blocks(found: Findings) -> list[Block]:
    # runs that an earlier version kept do not have it
    names = [name for name, runs in found.by_arm.items() if all("by_frequency" in result.content for result in runs)]
    return [Heading(2, "Rare and frequent items"), frequency_table(found, names)] if names else []


def layer_table(found: Findings) -> Table:
    weights = found.weights(found.main("fusion")) if found.has(found.main("fusion")) else []
    rows = []
    for layer, label in enumerate(found.layers):
        single = [found.singles(mode).get(layer) for mode in ("replacement", "fusion")]
        cells = ["" if name is None else with_spread(found.over_seeds(name, "test", "hr@10")) for name in single]
        rows.append([label, with_spread(weights[layer], 3) if weights else "", *cells])
    return Table(["layer", "learned weight", "HR@10, replacement", "HR@10, fusion"], rows)


def cold_table(found: Findings, facts: dict) -> Table:
    def row(name: str, metrics: Sequence[str], warm: str = "") -> list[str]:
        return [name, *metrics, warm]

    keys = [(among, key) for among in ("among_all", "among_cold") for key in ("hr@10", "ndcg@10")]
    rows = [
        row("random, expected", [figure(facts["cold"]["random"][among][key]) for among, key in keys]),
        row("content alone, untrained", [figure(facts["cold"]["content"][among][key]) for among, key in keys]),
    ]
    for name, label in COLD_NAMES.items():
        if found.has(name):
            metrics = [with_spread(found.over_seeds(name, "cold", among, key)) for among, key in keys]
            rows.append(row(label, metrics, with_spread(found.over_seeds(name, "warm", "hr@10"))))
    header = ["held-out items", "HR@10 of all", "NDCG@10 of all", "HR@10 of unseen", "NDCG@10 of unseen", "HR@10, warm items"]
    return Table(header, rows)


def cold_blocks(found: Findings, facts: dict) -> list[Block]:
    cold = facts["cold"]
    blocks: list[Block] = [
        Heading(2, "Items that training never saw"),
        Text(
            f"{cold['held_out']} items, a random tenth, were taken out of every history before training. {cold['users']} users have one; "
            f"the last of them is the target, ranked after the items before it, among all {facts['items']} items and among the "
            f"{cold['unseen']} that were never trained on. Training may hold later items of the same user."
        ),
        cold_table(found, facts),
    ]
    trained, untrained = "cold-fusion", "cold-fusion-untrained-unknown"
    difference = found.difference(trained, untrained) if found.has(trained, untrained) else None
    if difference is not None:
        blocks.append(
            Text(
                "What training the unknown item changes for all test users of the same split: "
                f"HR@10 {difference.mean:+.4f} ({relative(difference)}), 95 % interval {interval(difference)}."
            )
        )
    return blocks


def pictures(found: Findings, out: Path) -> list[Block]:
    names = [name for name in found.by_arm if name in found.arms]
    if not names:
        return []
    bars = draw_bars(
        [found.label(name) for name in names],
        [found.over_seeds(name, "test", "hr@10") for name in names],
        [found.arms[name].mode == "fusion" for name in names],
        out / "arms.png",
    )
    blocks: list[Block] = [Picture(bars, "HR@10 on test of every arm")]
    profiles = []
    for mode in ("fusion", "replacement"):
        single = found.singles(mode)
        if len(single) > 1:
            profiles.append(
                Profile(f"{mode}, one layer", list(single), [found.over_seeds(name, "test", "hr@10") for name in single.values()])
            )
    if not profiles:
        return blocks
    levels = [
        (label, found.over_seeds(name, "test", "hr@10").mean)
        for name, label in ((found.main("fusion"), "DFF"), ("id", "ID only"), ("fusion-caption", "fusion: caption"))
        if found.has(name)
    ]
    weights = found.weights(found.main("fusion")) if found.has(found.main("fusion")) else []
    profile = draw_profile(profiles, levels, weights, found.layers, out / "layers.png")
    return [*blocks, Picture(profile, "HR@10 by layer, and the weights that DFF learned")]


def unfinished(found: Findings, facts: dict) -> list[Block]:
    finished = sum(len(runs) for runs in found.by_arm.values())
    if finished == facts["planned"]:
        return []
    return [Text(f"So far {finished} of {facts['planned']} runs are finished. Where no ± stands, there is one seed.")]


def blocks_of(facts: dict, found: Findings, out: Path) -> list[Block]:
    extractor, recipe = facts["extractor"], facts["recipe"]
    seconds = sum(result.content["total_seconds"] for runs in found.by_arm.values() for result in runs)
    differing = ", ".join(f"{key} {value}" for key, value in recipe.items() if key not in ("variant", "seed"))
    return [
        Heading(1, TITLE),
        Text(
            f"{facts['data_set']}: {facts['users']} users, {facts['items']} items, {facts['interactions']} interactions; "
            f"{facts['unseen_targets']:.1%} of the test targets never occur in training. Hidden states: {len(facts['layers'])} layers of "
            f"{extractor['model']} ({extractor['revision']}), pooled by {extractor['pooling']}. Leave-one-out, the whole catalogue ranked, "
            f"histories masked, ties against the target; the epoch is chosen on valid. Seeds: {', '.join(map(str, facts['seeds']))}."
        ),
        *unfinished(found, facts),
        Heading(2, "The paper's findings on these data"),
        claim_table(found),
        Text(
            "Best and worst layers are chosen on valid and judged on test. Differences are paired by user; the interval holds what other "
            "users and other seeds would change, of a single seed what other users would. Of differences that are nothing, about one in "
            "twenty will look like something."
        ),
        Heading(2, "All arms"),
        comparison(found, facts),
        Text(
            "Mean ± standard deviation over seeds. Coverage: share of the catalogue in anyone's top 20. Gini: 0 if all items are shown "
            "equally often, 1 if one takes everything. Novelty: mean surprise of a shown item, -log2 of its share of the training "
            "interactions."
        ),
        *pictures(found, out),
        *frequency_blocks(found),
        Heading(2, "Layers"),
        layer_table(found),
        *(cold_blocks(found, facts) if "cold" in facts else []),
        Heading(2, "Settings"),
        Text(f"dff {facts['dff']}; {differing}. {seconds / 60:.0f} minutes of training and measuring in all."),
    ]


def write_report(out: Path, facts: dict, results: Sequence[Result], arms: dict[str, Arm], order: Sequence[str]) -> str:
    """Writes report.md, report.html and the pictures; returns a summary for people."""
    found = Findings(results, arms, order, facts["layers"])
    blocks = blocks_of(facts, found, out)
    write_text(out / "report.md", markdown(blocks))
    write_text(out / "report.html", page(TITLE, blocks))
    names = [name for name in found.by_arm if name in arms]
    width = max((len(found.label(name)) for name in names), default=0)
    lines = [f"{found.label(name):<{width}}  HR@10 {with_spread(found.over_seeds(name, 'test', 'hr@10'))}" for name in names]
    told = [f"{made.text}: {made.verdict}" for made in claims(found)]
    return "\n".join([*lines, *told, f"{out / 'report.html'}, report.md, study.json"])
