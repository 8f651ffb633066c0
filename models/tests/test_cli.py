import json
import re

import pytest
import torch

from dff.cli import main
from dff.titles import pool_over_tokens, read_titles
from dff.verify import verify

SMALL = ["--dim", "8", "--max-history", "5", "--epochs", "2", "--batch-size", "64", "--device", "cpu", "--lr", "0.01"]


@pytest.mark.parametrize("variant", ["dff", "id"])
def test_one_command_leads_from_files_to_an_artifact(world, tmp_path, capsys, variant):
    pairs, features = world.write(tmp_path)
    out = tmp_path / "out"
    inputs = ["--interactions", str(pairs)] + (["--features", str(features)] if variant == "dff" else [])
    assert (
        main(["run", *inputs, "--out", str(out), "--variant", variant, "--no-comparison", "--name", "toy", "--version", "3", *SMALL]) == 0
    )
    printed = capsys.readouterr().out
    assert "item kNN" in printed and "fingerprint" in printed
    assert {path.name for path in out.iterdir()} == {"config.json", "metrics.json", "curves.png", "checkpoint.pt", "artifact"}
    metrics = json.loads((out / "metrics.json").read_text())
    for values in (metrics["valid"], metrics["test"], *metrics["floors"].values()):
        assert set(values) == {"hr@10", "ndcg@10", "hr@20", "ndcg@20"}
    assert set(metrics["exposure"]) == {"coverage@20", "gini@20", "novelty@20"} and 0 < metrics["exposure"]["coverage@20"] <= 1
    shares = [band["id_share"] for band in metrics["by_frequency"] if band["id_share"] is not None]
    assert shares and all(share == 1 if variant == "id" else 0 < share < 1 for share in shares)
    assert metrics["users"] == 400 and metrics["epochs"] == 2 and metrics["recipe"]["dim"] == 8
    manifest = json.loads((out / "artifact" / "model.json").read_text())
    assert (manifest["name"], manifest["version"], manifest["variant"]) == ("toy", "3", variant)
    assert manifest["training"]["metrics"]["test"] == metrics["test"]
    assert main(["verify", str(out / "artifact")]) == 0
    assert verify(out / "artifact").fingerprint in capsys.readouterr().out


def test_items_without_features_stop_the_run_unless_allowed(world, tmp_path, capsys):
    pairs, features = world.write(tmp_path)
    with pairs.open("a") as stream:
        stream.write("guest\tvideo1 strange video2 video3 video4 video5\n")
    command = ["run", "--interactions", str(pairs), "--features", str(features), "--out", str(tmp_path / "out"), *SMALL]
    assert main(command) == 2
    assert "error:" in (message := capsys.readouterr().err) and "1 items" in message and "strange" in message
    assert main([*command, "--allow-missing-features"]) == 0
    assert "strange" in (tmp_path / "out" / "artifact" / "item_ids.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("change", "reason"),
    [(["--heads", "3"], "heads"), (["--threads", "0"], "--threads"), (["--epochs", "0"], "epochs"), ([], "needs --features")],
)
def test_a_setting_that_cannot_be_ends_with_code_2_and_the_reason(world, tmp_path, capsys, change, reason):
    pairs, _ = world.write(tmp_path)
    assert main(["run", "--interactions", str(pairs), "--out", str(tmp_path / "out"), *change]) == 2
    assert reason in capsys.readouterr().err


def test_every_variant_ranks_the_catalogue_of_the_features(world, tmp_path):
    pairs, features = world.write(tmp_path)
    for variant in ("id", "dff"):
        assert (
            main(
                [
                    "run",
                    "--interactions",
                    str(pairs),
                    "--features",
                    str(features),
                    "--out",
                    str(tmp_path / variant),
                    "--variant",
                    variant,
                    *SMALL,
                ]
            )
            == 0
        )
    counts = [json.loads((tmp_path / variant / "metrics.json").read_text())["items"] for variant in ("id", "dff")]
    assert counts == [len(world.features.item_ids)] * 2


def test_a_refused_resume_leaves_the_files_as_they_were(world, tmp_path, capsys):
    pairs, features = world.write(tmp_path)
    out = tmp_path / "out"
    command = ["run", "--interactions", str(pairs), "--features", str(features), "--out", str(out), *SMALL]
    assert main(command) == 0
    before = (out / "config.json").read_bytes()
    assert main([*command, "--resume", "--lr", "0.5"]) == 2
    assert "cannot resume, the run differs in lr" in capsys.readouterr().err
    assert (out / "config.json").read_bytes() == before
    assert main([*command[: -len(SMALL)], *SMALL, "--out", str(pairs)]) == 2
    assert "no folder can be made" in capsys.readouterr().err


def test_resuming_a_finished_run_changes_nothing(world, tmp_path, capsys):
    pairs, features = world.write(tmp_path)
    command = ["run", "--interactions", str(pairs), "--features", str(features), "--out", str(tmp_path / "out"), *SMALL]
    assert main(command) == 0
    before = verify(tmp_path / "out" / "artifact")
    [trained] = re.findall(r"best epoch \d of 2, .*", capsys.readouterr().out)
    assert main([*command, "--resume"]) == 0
    assert verify(tmp_path / "out" / "artifact").item_error == before.item_error
    assert trained in capsys.readouterr().out  # the seconds of training too


def test_verify_of_nothing_is_an_error_with_code_2(tmp_path, capsys):
    assert main(["verify", str(tmp_path)]) == 2
    assert "model.json: cannot be read" in capsys.readouterr().err


def test_titles_are_read_by_column_name(tmp_path):
    path = tmp_path / "titles.csv"
    path.write_text('item,title\n7,"cats, dogs"\n8,\n', encoding="utf-8")
    assert read_titles(path) == (["7", "8"], ["cats, dogs", ""])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("item,title\n1," + "x" * 200_000 + "\n", ":2: not CSV"),
        ("item,name\n", "lacks the column title"),
        ("item,title\n1,a\n1,b\n", ":3: item '1' occurs twice"),
        ("item,title\n", "no titles"),
    ],
)
def test_a_titles_file_that_does_not_fit_is_refused(tmp_path, capsys, content, reason):
    path = tmp_path / "titles.csv"
    path.write_text(content, encoding="utf-8")
    assert main(["encode-titles", "--titles", str(path), "--out", str(tmp_path / "out.safetensors")]) == 2
    assert reason in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_told_before_the_work(world, tmp_path, capsys):
    titles = tmp_path / "titles.csv"
    titles.write_text("item,title\n1,cat\n", encoding="utf-8")
    for out, reason in ((tmp_path, "is a folder"), (titles / "below", "no folder can be made")):
        assert main(["encode-titles", "--titles", str(titles), "--out", str(out)]) == 2
        assert reason in capsys.readouterr().err


def test_pooling_leaves_padding_tokens_out():
    layer = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert pool_over_tokens((layer, layer * 2), torch.tensor([[1, 1, 0]])).tolist() == [[[2.0], [4.0]]]
