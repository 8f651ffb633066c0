"""The comparison of representations: what is trained, what is kept, and what the report says of it."""

import json
import math
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dff.cli import main
from dff.errors import DataError
from dff.evaluation import metrics_of, rank_all
from dff.exposure import exposure, gini, shown_items
from dff.frequency import band_names, bands_of, hit_rates, target_shares
from dff.interactions import Interactions
from dff.split import leave_one_out
from dff.study import runs as runs_module
from dff.study.arms import Arm, arms, single_layers
from dff.study.cold_start import cold_metrics, content_scorer, hold_out, random_metrics
from dff.study.report import Findings, claim, claim_row
from dff.study.runs import Result
from dff.study.spread import paired_difference, spread, t_95
from dff.study.study import Planned, clock, time_left

SMALL = ["--dim", "8", "--max-history", "6", "--epochs", "3", "--batch-size", "128", "--lr", "0.02", "--device", "cpu"]
ARMS = 1 + 2 * (1 + 3 + 2)  # IDs; twice: captions, three layers, uniform and learned mix
COLD = 3


@pytest.fixture(scope="module")
def command(world, tmp_path_factory):
    """The study of the synthetic world, with captions that know nothing; the folder is the caller's."""
    folder = tmp_path_factory.mktemp("study-inputs")
    pairs, features = world.write(folder)
    captions = folder / "captions.safetensors"
    noise = torch.randn(len(world.features.item_ids), 1, 5, generator=torch.Generator().manual_seed(3))
    save_file({"hidden_states": noise}, captions, metadata={"item_ids": json.dumps(world.features.item_ids)})
    inputs = ["--interactions", str(pairs), "--features", str(features), "--captions", str(captions)]
    return lambda out, *more: ["study", *inputs, "--out", str(out), "--seeds", "0,1", *SMALL, *more]


@pytest.fixture(scope="module")
def finished(command, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "out"
    assert main(command(out)) == 0
    return out


def results(out):
    return [json.loads(path.read_text()) for path in sorted(out.glob("runs/*/result.json"))]


def test_every_arm_is_trained_with_every_seed_and_stands_in_the_report(finished):
    stored = results(finished)
    assert len(stored) == 2 * (ARMS + COLD) == len(json.loads((finished / "study.json").read_text())["runs"])
    assert not list(finished.glob("runs/*/checkpoint.pt"))  # only what is not finished needs one
    report = (finished / "report.md").read_text(encoding="utf-8")
    table = report.split("## All arms")[1].split("\n\n")[1].splitlines()
    assert len(table) == 2 + 2 + ARMS  # header, two floors
    rows = {line.split("|")[1].strip(" *"): [cell.strip(" *") for cell in line.split("|")[2:-1]] for line in table[2:]}
    for name, label in (
        ("id", "ID only"),
        ("fusion-dff", "fusion: learned mix = DFF"),
        ("replacement-layer-2", "replacement: layer_2 (the last)"),
    ):
        rates = [result["test"]["hr@10"] for result in stored if result["arm"] == name]
        assert rows[label][0] == f"{np.mean(rates):.4f} ± {np.std(rates, ddof=1):.4f}"
    for result in stored:
        if "test" in result:
            ranks = np.load(finished / "runs" / f"{result['arm']}-seed-{result['seed']}" / "ranks.npy")
            assert metrics_of(ranks) == result["test"]


def test_the_report_names_the_papers_findings_and_shows_captions_of_noise_to_be_worse(finished):
    report = (finished / "report.md").read_text(encoding="utf-8")
    table = report.split("## The paper's findings on these data")[1].split("\n\n")[1].splitlines()[2:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    assert [row[0][:2] for row in rows] == ["Fu", "1.", "1.", "1.", "2.", "2.", "3.", "3.", "3.", "3.", "3."]
    captions = next(row for row in rows if row[0].startswith("1.") and row[0].endswith("in place of IDs"))
    assert captions[1] == "shown" and captions[4].startswith("+") and captions[5].endswith("against replacement: caption")


def test_the_html_report_needs_nothing_beside_itself(finished):
    content = (finished / "report.html").read_text(encoding="utf-8")
    assert content.count("data:image/png;base64,") == 2
    assert all(link.startswith("data:") for link in re.findall(r'(?:src|href)="([^"]*)"', content)) and "<script" not in content
    assert (finished / "arms.png").read_bytes()[:4] == (finished / "layers.png").read_bytes()[:4] == b"\x89PNG"


def test_a_uniform_mix_stays_uniform_and_a_learned_one_moves(finished):
    weights = {result["arm"]: result["layer_weights"] for result in results(finished)}
    assert weights["fusion-uniform"] == pytest.approx([1 / 3] * 3) == weights["replacement-uniform"]
    assert weights["fusion-dff"] != pytest.approx([1 / 3] * 3, abs=1e-3)
    assert weights["id"] == []


def test_a_finished_study_is_only_written_anew(finished, command, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    monkeypatch.setattr(runs_module, "train", lambda *given, **named: pytest.fail("trains again"))
    (out / "report.md").unlink()
    assert main(command(out)) == 0
    assert (out / "report.md").read_text() == (finished / "report.md").read_text()


def test_only_the_arms_asked_for_are_compared(finished, command, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    shutil.rmtree(out / "runs" / "fusion-dff-seed-1")
    assert main(command(out, "--arms", "cold-fusion,fusion-dff,id")) == 0
    printed = capsys.readouterr().out
    assert "6 runs: 3 arms, 2 seeds" in printed and "[1/1] fusion-dff, seed 1" in printed
    report = (out / "report.md").read_text(encoding="utf-8")
    named = [line.split("|")[1].strip(" *") for line in report.split("## All arms")[1].split("\n\n")[1].splitlines()[2:]]
    assert named == ["most popular", "item kNN", "ID only", "fusion: learned mix = DFF"]
    assert "DFF, through the unknown item" in report and "in place of IDs, trained" not in report
    assert main(command(out, "--arms", "cold-fusion")) == 0  # nothing to compare, but items that training never saw
    assert "DFF, through the unknown item" in (out / "report.md").read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(command(out, "--arms", "id,fusion")) == 2
    assert "--arms names fusion; expected some of id, replacement-caption, " in capsys.readouterr().err


def test_a_killed_study_keeps_what_was_finished(finished, command, tmp_path, monkeypatch, capsys):
    trained = []

    def counted(*given, **named):
        trained.append(given[1].variant)
        if len(trained) == 4:
            raise KeyboardInterrupt
        return runs_train(*given, **named)

    runs_train = runs_module.train
    monkeypatch.setattr(runs_module, "train", counted)
    small = ("--layers", "none", "--no-cold-start", "--modes", "fusion")  # five arms
    with pytest.raises(KeyboardInterrupt):
        main(command(tmp_path / "out", *small))
    assert len(results(tmp_path / "out")) == 3
    assert main(command(tmp_path / "out", *small)) == 0
    printed = capsys.readouterr().out
    assert "3 runs were finished before" in printed and len(trained) == 4 + 7 and "left" in printed
    again = {(result["arm"], result["seed"]): result["test"] for result in results(tmp_path / "out")}
    whole = {(result["arm"], result["seed"]): result.get("test") for result in results(finished)}
    assert len(again) == 10 and all(whole[key] == again[key] for key in again)


def test_what_is_finished_can_be_reported_before_the_rest(finished, command, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runs_module, "train", lambda *given, **named: pytest.fail("trains"))
    out = tmp_path / "out"
    assert main(command(out, "--report")) == 2
    assert "none of these runs is finished; leave out --report" in capsys.readouterr().err
    for run in ("id-seed-0", "id-seed-1", "fusion-dff-seed-0", "fusion-dff-seed-1", "fusion-uniform-seed-1"):
        shutil.copytree(finished / "runs" / run, out / "runs" / run)
    assert main(command(out, "--report")) == 0
    report = (out / "report.md").read_text(encoding="utf-8")
    assert f"So far 5 of {2 * (ARMS + COLD)} runs are finished." in report
    assert "So far" not in (finished / "report.md").read_text(encoding="utf-8")
    whole = (finished / "report.md").read_text(encoding="utf-8").splitlines()
    assert next(line for line in whole if line.startswith("| Fusion beats IDs alone")) in report  # both have all seeds
    uniform = next(line for line in report.splitlines() if line.startswith("| fusion: uniform"))
    assert "±" not in uniform and "replacement:" not in report.split("## All arms")[1].split("## Rare")[0]


def test_arms_without_a_common_seed_are_reported_and_not_compared(finished, command, tmp_path, capsys):
    out = tmp_path / "out"
    for run in ("id-seed-0", "fusion-dff-seed-1"):
        shutil.copytree(finished / "runs" / run, out / "runs" / run)
    assert main(command(out, "--report")) == 0
    assert "Fusion beats IDs alone: not measured" in capsys.readouterr().out


def test_features_of_one_layer_are_dff_as_well(world, command, tmp_path):
    pairs, _ = world.write(tmp_path)
    features = tmp_path / "single.safetensors"
    save_file(
        {"hidden_states": world.features.hidden_states[:, :1].contiguous()},
        features,
        metadata={"item_ids": json.dumps(world.features.item_ids)},
    )
    given = ["study", "--interactions", str(pairs), "--features", str(features), "--out", str(tmp_path / "out"), "--seeds", "0", *SMALL]
    assert main([*given, "--modes", "fusion", "--no-cold-start"]) == 0
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    claim = next(line for line in report.splitlines() if line.startswith("| Fusion beats IDs alone"))
    assert (
        re.search(r"\| (shown|refuted|undecided) for this seed \|", claim) and "fusion: layer_0 (the last) = DFF against ID only" in claim
    )


def test_captions_can_join_a_finished_study(world, command, finished, tmp_path, capsys):
    pairs, features = world.write(tmp_path)
    out = tmp_path / "out"
    for run in ("id-seed-0", "fusion-dff-seed-0"):
        shutil.copytree(finished / "runs" / run, out / "runs" / run)
    given = ["study", "--interactions", str(pairs), "--features", str(features), "--out", str(out), "--seeds", "0", *SMALL]
    assert main([*given, "--arms", "id,fusion-dff"]) == 0  # trained beside captions, reported without
    assert "2 runs were finished before" in capsys.readouterr().out
    other = features.with_name("other.safetensors")
    save_file({"hidden_states": world.features.hidden_states + 1}, other, metadata={"item_ids": json.dumps(world.features.item_ids)})
    given[given.index(str(features))] = str(other)
    assert main([*given, "--arms", "id"]) == 0  # has no features
    assert main([*given, "--arms", "id,fusion-dff"]) == 2
    assert "was made with another features; choose another --out" in capsys.readouterr().err


def test_results_of_other_settings_are_not_mixed_in(finished, command, capsys):
    assert main(command(finished, "--dim", "16")) == 2
    assert "was made with another dim; choose another --out" in capsys.readouterr().err


def test_a_quick_look_takes_a_part_of_the_users(command, tmp_path, capsys):
    more = ("--users", "60", "--layers", "1", "--modes", "replacement", "--no-cold-start", "--seeds", "5")
    assert main(command(tmp_path / "out", *more)) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("60 users") and "6 runs: 6 arms, 1 seeds" in printed
    report = (tmp_path / "out" / "report.md").read_text()
    assert "| Fusion beats IDs alone | not measured |" in report and "±" not in report.split("## Layers")[1]


def test_as_many_users_as_there_are_is_the_whole_study(world, command, tmp_path):
    more = tmp_path / "more.safetensors"
    states = torch.cat([world.features.hidden_states, world.features.hidden_states[:2]])
    save_file({"hidden_states": states}, more, metadata={"item_ids": json.dumps([*world.features.item_ids, "unwatched-1", "unwatched-2"])})
    few = (
        "--features",
        str(more),
        "--layers",
        "none",
        "--arms",
        "cold-fusion",
        "--seeds",
        "0",
        "--epochs",
        "1",
        "--allow-missing-features",
    )
    assert main(command(tmp_path / "all", *few)) == 0
    assert main(command(tmp_path / "all", *few, "--users", "100000")) == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (["--layers", "7"], "the features have the layers 0 to 2"),
        (["--layers", "some"], "expected auto, all, none"),
        (["--users", "0"], "--users is 0"),
        (["--seeds", "1,1"], "--seeds names no seed, or one twice"),
        (["--dim", "9"], "dim 9 cannot be divided"),
        (["--seeds=-1"], "seed is -1"),
        (["--seeds", "99999999999999999999"], "expected less than 4294967296"),
    ],
)
def test_a_setting_that_cannot_be_ends_with_code_2_and_the_reason(command, tmp_path, capsys, change, reason):
    assert main(command(tmp_path / "out", *change)) == 2
    assert reason in capsys.readouterr().err


def test_layers_are_chosen_by_hand_or_spread_evenly():
    assert single_layers("auto", 7) == list(range(7))
    assert single_layers("auto", 29) == [0, 4, 8, 12, 16, 20, 24, 28]
    assert single_layers("all", 29) == list(range(29))
    assert single_layers("5,1,5", 7) == [1, 5] and single_layers("none", 7) == []


def test_the_last_layer_is_always_an_arm_and_never_twice():
    names = [arm.slug for arm in arms(4, [0, 3], captions=1, modes=["fusion"])]
    assert names == ["id", "fusion-caption", "fusion-layer-0", "fusion-layer-3", "fusion-uniform", "fusion-dff"]
    assert "fusion-layer-3" in [arm.slug for arm in arms(4, [], captions=0, modes=["fusion"])]
    assert [arm.slug for arm in arms(1, [0], captions=0, modes=["replacement"])] == ["id", "replacement-layer-0"]


def test_an_arm_sees_its_own_layers_only():
    sources = {"states": torch.arange(12.0).view(2, 3, 2), "captions": torch.ones(2, 1, 4)}
    assert Arm("id", "none").states(sources) is None
    assert Arm("fusion", "states", (1,)).states(sources).tolist() == [[[2, 3]], [[8, 9]]]
    assert Arm("fusion", "states", (0, 1, 2)).states(sources) is sources["states"]
    assert Arm("fusion", "captions", (0,)).states(sources).shape == (2, 1, 4)


def test_time_left_follows_the_same_arm_where_it_can():
    planned = [Planned(name, 1, None, None, False) for name in ("id", "fusion-dff", "other")]
    assert time_left(planned, {}) is None
    assert time_left(planned, {"id": [10.0, 12.0], "fusion-dff": [30.0]}) == pytest.approx(11 + 30 + 52 / 3)
    assert [clock(seconds) for seconds in (8, 600, 36000)] == ["8 s", "10 min", "10.0 h"]


def test_coverage_gini_and_novelty_by_hand():
    assert gini(np.array([5, 5, 5, 5])) == 0
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)  # of four items one takes all: 1 - 1/4
    split = leave_one_out(Interactions(["u", "v"], [["a", "b", "a", "x", "y"], ["a", "b", "b", "x", "y"]], 0))
    assert split.item_ids == ["a", "b", "x", "y"] and split.train_counts().tolist() == [3, 3, 0, 0]
    shown = exposure(split, np.array([[0, 2], [0, -1]]))  # a twice, x once, one place empty
    assert shown["coverage@2"] == 0.5 and shown["gini@2"] == pytest.approx(gini(np.array([2, 0, 1, 0])))
    assert shown["novelty@2"] == pytest.approx((2 * -math.log2(4 / 10) - math.log2(1 / 10)) / 3)


def test_targets_are_told_apart_by_how_often_they_occur_in_training():
    assert band_names() == ["0", "1 to 4", "5 to 9", "10 to 19", "20 to 49", "50 and more"]
    assert bands_of(np.array([0, 1, 4, 5, 9, 10, 19, 20, 49, 50, 900])).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    users = [["a"] * 6 + ["b", "x"], ["b", "a", "c", "b", "a"], ["b", "c", "a", "c", "b"]]  # x never, b three times, a eight times
    split = leave_one_out(Interactions(["u", "v", "w"], users, 0))
    assert dict(zip(split.item_ids, split.train_counts().tolist(), strict=True)) == {"a": 8, "b": 2, "c": 2, "x": 0}
    assert target_shares(split) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0, 0, 0])
    assert hit_rates(split, np.array([10, 11, 3])) == [1, 1, 0, None, None, None]


def test_the_report_shows_rare_and_frequent_items_apart(finished):
    report = (finished / "report.md").read_text(encoding="utf-8")
    table = report.split("## Rare and frequent items")[1].split("\n\n")[1].splitlines()
    rows = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in table[2:]}
    shares = np.array([float(share) for share in rows["share of the targets"]])
    assert shares.sum() == pytest.approx(1, abs=0.01)
    for name, label in (("id", "ID only"), ("fusion-dff", "fusion: learned mix = DFF")):
        rate = np.mean([result["test"]["hr@10"] for result in results(finished) if result["arm"] == name])
        of_bands = np.array([float(cell.split(" ")[0]) if cell else 0 for cell in rows[label]])
        assert of_bands @ shares == pytest.approx(rate, abs=0.002)  # bands make up the whole
    assert all(0 < float(cell.split(" ")[0]) < 1 for cell in rows["share of the ID in DFF's vectors"] if cell)


def test_shown_items_are_the_best_outside_the_history():
    split = leave_one_out(Interactions(["u"], [["a", "b", "c", "d", "e"]], 0), ["f", "g"])
    liking = torch.tensor([[9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0]])
    assert shown_items(split, lambda starts, ends: liking, 2).tolist() == [[4, 5]]  # e and f: a to d are known
    assert shown_items(split, lambda starts, ends: liking, 5).tolist() == [[4, 5, 6, -1, -1]]


def test_spread_and_paired_difference_by_hand():
    assert spread([1.0, 3.0]).mean == 2 and spread([1.0, 3.0]).deviation == pytest.approx(math.sqrt(2)) and spread([4.0]).deviation == 0
    first, second = np.array([1, 99, 1, 1]), np.array([99, 99, 1, 99])
    difference = paired_difference([first], [second])
    assert difference.mean == 0.5 and difference.relative == pytest.approx(2)
    half = 3.182 * math.sqrt(np.var([1, 0, 0, 1], ddof=1) / 4)  # Student's t for three degrees of freedom
    assert (difference.low, difference.high) == pytest.approx((0.5 - half, 0.5 + half))
    assert difference.verdict == "not told apart"
    # Seeds that disagree widen the interval, though every user's mean over seeds is the same.
    none, all_missed = np.ones(4), np.full(4, 99)
    agreeing = paired_difference([none, none], [np.array([99, 1, 99, 1]), np.array([1, 99, 1, 99])])
    apart = paired_difference([none, none], [all_missed, none])
    assert (agreeing.mean, agreeing.low, agreeing.high) == (0.5, 0.5, 0.5)
    assert (apart.low, apart.high) == pytest.approx((0.5 - 12.706 / 2, 0.5 + 12.706 / 2))
    assert paired_difference([np.full(9, 1)], [np.full(9, 50)]).verdict == "higher"


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706), (1.3, 7.501), (1.6, 5.517), (2, 4.303), (9, 2.262), (10, 2.228), (12, 2.179), (30, 2.042), (120, 1.980), (1e9, 1.960)],
)
def test_students_quantile_is_the_one_of_the_tables(freedom, quantile):
    assert t_95(freedom) == pytest.approx(quantile, abs=0.003, rel=0.03 if freedom < 2 else 0)
    assert t_95(freedom) >= t_95(freedom + 0.5)


def findings(ranks, layers=("low", "high")):
    """Findings of made-up ranks; valid says the opposite of nothing but what is given."""
    made, known = [], {}
    for name, (arm, valid, test) in ranks.items():
        known[name] = arm
        made += [Result(name, seed, {"valid": {"hr@10": valid}, "test": {"hr@10": 0}}, np.array(test)) for seed in (0, 1)]
    return Findings(made, known, list(known), layers)


def test_the_best_layer_is_chosen_by_valid_and_judged_on_test():
    good, bad = [1] * 50, [99] * 50
    found = findings(
        {
            "fusion-layer-0": (Arm("fusion", "states", (0,)), 0.9, bad),
            "fusion-layer-1": (Arm("fusion", "states", (1,)), 0.1, good),
        }
    )
    best, worst = found.best_single("fusion"), found.worst_single("fusion")
    assert (best, worst) == ("fusion-layer-0", "fusion-layer-1") and found.best_single("replacement") is None
    assert claim("Layers differ", found, best, worst).verdict == "refuted"
    assert claim("Layers differ", found, best, best).verdict == "not measured"  # a single layer differs from nothing


@pytest.mark.parametrize(("first", "second", "word"), [(1, 99, "shown"), (99, 1, "refuted"), (1, 1, "undecided")])
def test_a_claim_is_shown_refuted_or_undecided_by_its_interval(first, second, word):
    found = findings({"id": (Arm("id", "none"), 0, [second] * 30), "fusion-layer-1": (Arm("fusion", "states", (1,)), 0, [first] * 30)})
    row = claim_row(found, claim("Claim", found, "fusion-layer-1", "id"))
    assert row[:2] == ["Claim", word] and row[5] == "fusion: high (the last) against ID only"
    assert claim_row(found, claim("Claim", found, None, "id"))[1] == "not measured" == claim("Claim", found, "other", "id").verdict


def test_held_out_items_are_never_trained_on_and_are_the_targets(world):
    protocol = hold_out(world.interactions, world.features.item_ids)
    warm, cold = protocol.warm, protocol.cold
    assert protocol.items == 12 and cold.item_ids == warm.item_ids
    targets = cold.items[cold.target_places("test")]
    assert (targets >= warm.trained).all() and len(set(targets.tolist())) <= 12
    assert {cold.item_ids[place] for place in warm.items}.isdisjoint(cold.item_ids[place] for place in targets)
    for start, end in zip(cold.starts[:-1], cold.starts[1:], strict=True):
        assert end - start >= 2 and not set(cold.items[start : end - 1].tolist()) & set(targets.tolist())
    again = hold_out(world.interactions, world.features.item_ids)
    assert np.array_equal(again.cold.items, cold.items)


def test_a_world_too_small_for_the_cold_protocol_is_refused():
    lonely = Interactions(["u"], [["a", "b", "c", "d", "e"]], 0)
    with pytest.raises(DataError, match="cold start"):
        hold_out(lonely, [], share=0.4)


def test_content_finds_unseen_items_and_chance_does_not(world, finished):
    protocol = hold_out(world.interactions, world.features.item_ids)
    states = world.hidden_states[[world.split.item_ids.index(item) for item in protocol.warm.item_ids]]
    content, chance = cold_metrics(protocol, content_scorer(protocol.cold, states)), random_metrics(protocol)
    assert content["among_all"]["hr@10"] > 0.9  # an item lies among those of its cluster
    guesses = [rank_all(protocol.cold, "test", guesser(seed, len(protocol.cold.item_ids))) for seed in range(20)]
    measured = np.mean([metrics_of(ranks)["hr@10"] for ranks in guesses])
    assert chance["among_all"]["hr@10"] == pytest.approx(measured, abs=0.01)
    assert chance["among_all"]["ndcg@10"] == pytest.approx(np.mean([metrics_of(ranks)["ndcg@10"] for ranks in guesses]), abs=0.01)
    fused = [result["cold"]["among_all"]["hr@10"] for result in results(finished) if result["arm"] == "cold-fusion"]
    assert min(fused) > 2 * chance["among_all"]["hr@10"]
    assert "DFF, through the unknown item" in (finished / "report.md").read_text()


def guesser(seed, items):
    generator = torch.Generator().manual_seed(seed)
    return lambda starts, ends: torch.rand(len(starts), items, generator=generator)


def test_study_json_holds_every_run_for_other_tools(finished):
    facts = json.loads((finished / "study.json").read_text())
    assert (
        facts["users"] == 400
        and facts["items"] == 120
        and facts["seeds"] == [0, 1]
        and facts["layers"] == ["layer_0", "layer_1", "layer_2"]
    )
    assert {(run["arm"], run["seed"]) for run in facts["runs"]} == {(run["arm"], run["seed"]) for run in results(finished)}
    assert all(0 <= run["test"]["hr@10"] <= 1 for run in facts["runs"] if "test" in run)
