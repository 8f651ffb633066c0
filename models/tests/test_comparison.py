import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from dff.checkpoint import best_of
from dff.cli import main
from dff.comparison import ID_SEARCH, LONG_ID_SEARCH, Comparison, Contender, Rivals
from dff.evaluation import candidate_factors
from dff.interactions import Interactions
from dff.recipe import PRESETS, build_recipe
from dff.run import build_model
from dff.split import everything, leave_one_out
from dff.training import next_gain, train

QUICK = ["--dim", "16", "--max-history", "8", "--batch-size", "64", "--epochs", "5", "--lr", "0.01", "--dropout", "0.1", "--device", "cpu"]


def contender(variant, value):
    return Contender(PRESETS["default"].of_variant(variant), None, None, {"ndcg@10": value}, {"ndcg@10": value})


def compared(fusion, identity, content, popular=0.01):
    named = zip(("dff", "id", "replacement"), (fusion, identity, content), strict=True)
    return Comparison([contender(variant, value) for variant, value in named], {"ndcg@10": popular}, "ndcg@10")


@pytest.mark.parametrize(
    ("values", "chosen", "said"),
    [
        ((0.2, 0.1, 0.1), "dff", None),
        ((0.2, 0.2015, 0.1), "dff", "fusion hardly pays here"),
        ((0.2, 0.203, 0.1), "id", "IDs alone is better and is exported instead"),
        ((0.2, 0.203, 0.21), "replacement", "features alone is better"),
        ((0.2, 0.1, 0.1, 0.3), "dff", "nothing beats the most popular items"),
        ((0.2, 0.1, 0.1, 0.1985), "dff", "the best model is within 1 % of the most popular items"),
    ],
)
def test_the_export_is_fusion_unless_one_of_its_parts_is_clearly_better(values, chosen, said):
    found = compared(*values)
    assert found.chosen.variant == chosen
    lines = found.lines()
    assert len(lines) == (1 if said is None else 2) and (said is None or said in lines[1])


def test_where_features_are_noise_a_run_exports_ids_alone_and_says_so(world, tmp_path, capsys):
    noise = torch.randn(world.features.hidden_states.shape, generator=torch.Generator().manual_seed(1))
    pairs, features = replace(world, features=replace(world.features, hidden_states=noise)).write(tmp_path)
    command = ["run", "--interactions", str(pairs), "--features", str(features), "--out", str(tmp_path / "out"), *QUICK]
    assert main(command) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    models = metrics["comparison"]["models"]
    best = max(models, key=lambda variant: models[variant]["valid"]["ndcg@10"])
    assert metrics["test"] == models[metrics["variant"]]["test"]
    assert models[metrics["variant"]]["valid"]["ndcg@10"] >= models[best]["valid"]["ndcg@10"] / 1.01
    printed = capsys.readouterr().out
    assert "NDCG@10 on valid: fusion" in printed and "most popular" in printed
    manifest = json.loads((tmp_path / "out" / "artifact" / "model.json").read_text())
    assert manifest["variant"] == metrics["variant"]
    assert main([*command, "--no-comparison"]) == 0
    assert json.loads((tmp_path / "out" / "artifact" / "model.json").read_text())["variant"] == "dff"


class KnownRivals(Rivals):
    """Rivals whose value on valid is known beforehand; `folder` is the list of the recipes that were trained."""

    def trained(self, recipe, states, checkpoint):
        self.folder.append(recipe)
        value = 0.1 + (recipe.id_dropout == 0.05) * 0.01 + (recipe.dropout == 0.2) * 0.01 + (recipe.weight_decay > 0.2) * 0.01
        return Contender(recipe, None, None, {"ndcg@10": value}, {"ndcg@10": value})


def searched(search):
    made = []
    return KnownRivals(None, None, made, False).identities(build_recipe("default").of_variant("id"), search), made


def test_ids_alone_take_the_settings_that_rank_valid_best_from_one_setting_to_the_next():
    found, made = searched(ID_SEARCH)
    assert [recipe.id_dropout for recipe in made] == [0.0, 0.05] and found.settings == {"id_dropout": 0.05} and found.trainings == 2
    found, made = searched(LONG_ID_SEARCH)
    assert found.settings == pytest.approx({"id_dropout": 0.05, "dropout": 0.2, "weight_decay": 0.3})
    assert found.trainings == len(made) == len(set(made)) <= 8 and {recipe.variant for recipe in made} == {"id"}
    assert all(recipe.dropout == 0.2 for recipe in made[4:])  # what was found is kept


def test_a_run_tells_how_ids_alone_were_searched(world, tmp_path, capsys):
    pairs, features = world.write(tmp_path)
    command = ["run", "--interactions", str(pairs), "--features", str(features), "--out", str(tmp_path / "out"), *QUICK]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "IDs alone, up to 2 trainings over id_dropout" in printed
    values = {float(rate): float(value) for rate, value in re.findall(r"  id_dropout (\S+): NDCG@10 on valid (\S+)", printed)}
    assert set(values) == {0.0, 0.05}
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())["comparison"]["models"]["id"]
    assert told["trainings"] == 2 and told["valid"]["ndcg@10"] == pytest.approx(max(values.values()), abs=1e-4)
    assert values[told["settings"]["id_dropout"]] == max(values.values())
    assert f"IDs alone (id_dropout {told['settings']['id_dropout']:g}; best of 2 trainings)" in printed
    assert main([*command, "--no-comparison", "--search-ids"]) == 2
    assert "--search-ids is about the comparison" in capsys.readouterr().err


def test_a_refit_learns_from_the_targets_too(world, tmp_path):
    pairs, features = world.write(tmp_path)
    with pairs.open("a") as stream:
        stream.write("guest\tvideo1 video2 video3 newest-but-one newest\n")
    command = ["run", "--interactions", str(pairs), "--features", str(features), "--out", str(tmp_path / "out"), *QUICK]
    assert main([*command, "--allow-missing-features", "--no-comparison", "--refit"]) == 0
    ids = (tmp_path / "out" / "artifact" / "item_ids.txt").read_text().split("\n")
    assert {"newest", "newest-but-one"} <= set(ids)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["refit"] is True


def test_a_refit_keeps_the_gain_that_valid_found(world, tmp_path, monkeypatch):
    monkeypatch.setattr("dff.training.candidate_factors", lambda *given: [0.1, 0.2, 0.1])  # more of the features is always better
    pairs, features = world.write(tmp_path)
    command = ["run", "--interactions", str(pairs), "--features", str(features), "--out", str(tmp_path / "out"), *QUICK]
    assert main([*command, "--no-comparison", "--refit"]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    found = metrics["curve"][metrics["best_epoch"] - 1]["gain"]
    assert found > 1
    _, recipe, progress = best_of(tmp_path / "out" / "checkpoint-refit.pt")
    assert (recipe["content_gain"], recipe["gain_search"], recipe["epochs"]) == (found, False, metrics["best_epoch"])
    assert [point["gain"] for point in progress.curve] == [found] * metrics["best_epoch"]
    assert not any("ndcg@10" in point for point in progress.curve)  # the targets of this split mean nothing


def test_everything_holds_each_interaction_once_and_the_same_catalogue():
    interactions = Interactions(["u", "v"], [["a", "b", "c", "d", "e"], ["b", "a", "f", "g", "b"]], left_out=0)
    held_out = leave_one_out(interactions, ["z"])
    whole = everything(interactions, held_out)
    assert set(whole.item_ids) == set(held_out.item_ids) and whole.trained == 7
    assert whole.train_counts().sum() == 10 and held_out.train_counts().sum() == 6
    assert held_out.repeated_targets().tolist() == [False, True]


def test_ids_alone_drop_no_ids_unless_asked_and_the_cosine_schedule_runs_to_its_end():
    assert PRESETS["default"].of_variant("id").id_dropout == 0 < PRESETS["default"].of_variant("dff").id_dropout
    assert build_recipe("default", variant="id", id_dropout=0.2).id_dropout == 0.2
    assert build_recipe("default", content_gain=2.0).gain_search is False


def test_the_gain_follows_what_ranks_valid_best(world, tmp_path):
    recipe = build_recipe("default", dim=16, max_history=8, batch_size=64, epochs=2, lr=1e-2, min_steps=1)
    model = build_model(recipe, world.split, world.hidden_states)
    progress = train(model, recipe, world.split, world.hidden_states, tmp_path / "checkpoint.pt")
    factors = (1.0, 1.3, 1 / 1.3)
    values = candidate_factors(model, world.split, world.hidden_states, factors, "ndcg@10", most_users=1000)
    assert values[0] == pytest.approx(progress.curve[progress.best_epoch - 1]["ndcg@10"], abs=1e-6)
    gain = next_gain(model, recipe, world.split, world.hidden_states, 1.0)
    best = factors[int(np.argmax(values))]
    assert gain == (best if max(values) > values[0] * 1.002 else 1.0)
    assert next_gain(model, replace(recipe, gain_search=False), world.split, world.hidden_states, 1.7) == 1.7
