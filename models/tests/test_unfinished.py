"""What a stop has left is no input of another command."""

import json

import pytest
import torch

from dff.cli import main
from dff.errors import DataError
from dff.extraction.shards import Index, add_shard, read_folder, save_index

QUICK = ["--dim", "16", "--max-history", "8", "--batch-size", "64", "--epochs", "5", "--lr", "0.01", "--dropout", "0.1", "--device", "cpu"]


def test_a_run_that_was_stopped_cannot_be_combined(world, tmp_path, monkeypatch, capsys):
    pairs, _ = world.write(tmp_path)
    command = ["run", "--interactions", str(pairs), "--variant", "id", *QUICK]
    assert main([*command, "--out", str(tmp_path / "0"), "--seed", "0"]) == 0

    def stop(progress):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("dff.run.report_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            main([*command, "--out", str(tmp_path / "1"), "--seed", "1"])
    both = ["combine", "--runs", str(tmp_path / "0"), str(tmp_path / "1"), "--interactions", str(pairs), "--out", str(tmp_path / "both")]
    assert main(both) == 2
    assert "has trained 1 of 5 epochs" in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "1"), "--seed", "1", "--resume"]) == 0
    assert main(both) == 0


def test_an_extraction_that_is_not_finished_is_no_features(tmp_path):
    index = Index({"model": "toy", "revision": "1", "pooling": "mean"}, ["layer_0"])
    add_shard(tmp_path, index, ["a", "b"], torch.ones(2, 1, 4), None)
    with pytest.raises(DataError, match="its extraction is not finished"):
        read_folder(tmp_path)
    index.complete = True
    save_index(tmp_path, index)
    assert read_folder(tmp_path)[1] == ["a", "b"]
    content = json.loads((tmp_path / "index.json").read_text())
    del content["complete"]  # as older versions wrote it
    (tmp_path / "index.json").write_text(json.dumps(content))
    assert read_folder(tmp_path)[1] == ["a", "b"]


def test_a_finished_run_of_other_settings_is_not_replaced_and_metrics_are_those_of_the_artifact(world, tmp_path, monkeypatch, capsys):
    pairs, _ = world.write(tmp_path)
    out = tmp_path / "run"
    command = ["run", "--interactions", str(pairs), "--variant", "id", *QUICK, "--out", str(out)]
    assert main([*command, "--seed", "0"]) == 0
    manifest = (out / "artifact" / "model.json").read_bytes()
    assert main([*command, "--seed", "1"]) == 2
    assert "holds a finished run with another recipe" in capsys.readouterr().err
    assert (out / "artifact" / "model.json").read_bytes() == manifest

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("dff.run.export", fail)
        with pytest.raises(KeyboardInterrupt):
            main([*command, "--seed", "0"])
    assert not (out / "metrics.json").exists()  # an older one would stand beside an artifact that is not its own
    assert main([*command, "--seed", "0", "--resume"]) == 0
    assert (out / "metrics.json").exists()
