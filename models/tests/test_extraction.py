"""Extraction from real video files, through small models of the real classes with random weights."""

import csv
import dataclasses
import json
import sys
import weakref

import numpy as np
import pytest
import torch

from dff.cli import main
from dff.errors import DataError
from dff.extraction.lvlm import OLDEST_TORCH, version_of
from dff.extraction.pooling import pool, token_weights
from dff.features import load_features

av = pytest.importorskip("av", reason="PyAV is not installed (extra [extract])")
transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra [extract])")
pytest.importorskip("jinja2", reason="jinja2, which chat templates need, is not installed (extra [extract])")
if version_of(torch) < OLDEST_TORCH:
    pytest.skip(f"extraction needs a newer PyTorch than {torch.__version__}", allow_module_level=True)

from tiny_lvlm import FAMILIES, LAYERS, WIDTH, make_model, store_sideways, write_video  # noqa: E402

from dff.extraction import extract as extraction  # noqa: E402
from dff.extraction.lvlm import Request, extract_batch, load_lvlm, tokenise  # noqa: E402
from dff.extraction.videos import VideoError, find_videos, read_clip  # noqa: E402

CPU = torch.device("cpu")
DECODERS = ["av", pytest.param("decord", marks=pytest.mark.skipif("not __import__('importlib.util').util.find_spec('decord')"))]
AS_INSTALLED = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(not hasattr(transformers, kind), reason=f"transformers {transformers.__version__} has no {kind}"),
    )
    for name, (kind, _) in FAMILIES.items()
]


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """Five clips; one of another shape, so that prompts of one batch differ in length where a model sees the shape."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(5):
        write_video(folder / f"clip{number}.mp4", number, size=(64, 112) if number == 3 else (96, 64))
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Makes each family's model once."""
    made = {}

    def get(family):
        if family not in made:
            made[family] = str(make_model(family, tmp_path_factory.mktemp("models") / family))
        return made[family]

    return get


def command(videos, model, out, *more):
    return ["extract", "--videos", str(videos), "--model", model, "--out", str(out), "--frames", "4", "--device", "cpu", *more]


def reds(clip):
    """The frame number that each picked frame shows in its red channel, of 24."""
    return [round(float(frame[-8:, -8:, 0].mean()) * 23 / 250) for frame in clip.frames]


@pytest.mark.parametrize("decoder", DECODERS)
def test_frames_come_from_the_middle_of_equal_parts(videos, decoder):
    clip = read_clip(videos / "clip0.mp4", 4, 64, decoder)
    assert clip.frames.dtype == np.uint8 and clip.frames.shape == (4, 42, 64, 3)  # 96 × 64 fitted to 64
    assert reds(clip) == clip.places == [3, 9, 15, 21]
    assert (clip.fps, clip.length, clip.duration) == (12, 24, 2)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_video_with_fewer_frames_than_wanted_repeats_some(tmp_path, decoder):
    path = write_video(tmp_path / "short.mp4", 0, frames=2)
    clip = read_clip(path, 4, 96, decoder)
    assert clip.frames.shape == (4, 64, 96, 3) and clip.places == [0, 0, 1, 1]


def test_the_frame_that_is_shown_is_taken_at_whatever_rate_frames_come(tmp_path):
    times = [0, 1, 2, 3, 90, 91, 92, 100]  # tenths of a second
    path = write_video(tmp_path / "uneven.mkv", 0, frames=len(times), fps=10, times=times)
    clip = read_clip(path, 4, 96, "av")
    assert clip.duration == pytest.approx(10.1, rel=0.02)  # by the packets' own times
    assert [round(float(frame[-8:, -8:, 0].mean()) * 7 / 250) for frame in clip.frames] == [3, 3, 3, 3]  # at 1.3, 3.8, 6.3 and 8.8 s


def test_jumping_to_key_frames_finds_the_frames_that_decoding_everything_finds(tmp_path, monkeypatch):
    path = write_video(tmp_path / "long.mp4", 1, frames=120, fps=4)  # 30 seconds
    jumped = read_clip(path, 3, 96, "av")
    monkeypatch.setattr("dff.extraction.videos.SEEK_AHEAD", 1e9)
    decoded = read_clip(path, 3, 96, "av")
    assert jumped.places == decoded.places == [20, 60, 100]
    assert np.array_equal(jumped.frames, decoded.frames)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_video_that_a_phone_stored_sideways_is_turned(videos, tmp_path, decoder):
    plain = read_clip(videos / "clip0.mp4", 4, 96, decoder).frames
    (tmp_path / "turned.mp4").write_bytes((videos / "clip0.mp4").read_bytes())
    turned = read_clip(store_sideways(tmp_path / "turned.mp4"), 4, 96, decoder).frames
    assert turned.shape == (4, 96, 64, 3)
    assert np.array_equal(turned, np.rot90(plain, 3, axes=(1, 2)))  # a quarter clockwise


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_file_that_is_no_video_is_named(tmp_path, decoder):
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    with pytest.raises(VideoError, match="broken.mp4"):
        read_clip(tmp_path / "broken.mp4", 4, 96, decoder)


def test_videos_are_found_in_a_folder_or_by_a_list(videos, tmp_path):
    assert list(find_videos(videos)[0]) == [f"clip{number}" for number in range(5)]
    listed = tmp_path / "videos.csv"
    listed.write_text(f"item,path\n7,{videos / 'clip0.mp4'}\n8,other/clip.mp4\n", encoding="utf-8")
    assert find_videos(listed)[0] == {"7": videos / "clip0.mp4", "8": tmp_path / "other/clip.mp4"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("item,file\n", ":1: the header lacks the column path"),
        ("item,path\n1,a\n1,b\n", ":3: item '1' occurs twice"),
        ("item,path\n", "holds no paths"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(tmp_path, content, reason):
    (tmp_path / "videos.csv").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=reason):
        find_videos(tmp_path / "videos.csv")


def test_pooling_by_hand():
    hidden = torch.tensor([[[float("inf")], [1.0], [3.0], [8.0]]])  # padding may hold anything
    chosen = torch.tensor([[False, True, True, True]])
    attention = torch.tensor([[0.0, 0.5, 0.25, 0.25]])
    assert pool(hidden, token_weights("mean", chosen, None)).item() == 4
    assert pool(hidden, token_weights("last", chosen, None)).item() == 8
    assert pool(hidden, token_weights("attention", chosen, attention)).item() == pytest.approx(3.25)
    some = torch.tensor([[False, True, True, False]])  # weights are rescaled over the tokens that count
    assert pool(hidden, token_weights("last", some, None)).item() == 3
    assert pool(hidden, token_weights("attention", some, attention)).item() == pytest.approx(5 / 3)


@pytest.mark.parametrize("pooling", ["mean", "last", "attention"])
@pytest.mark.parametrize("family", AS_INSTALLED)
def test_states_and_captions_are_the_models_own(videos, models, family, pooling):
    """Against the library's own hidden states, attentions and generated tokens of one clip at a time."""
    frozen = load_lvlm(models(family), None, "auto", CPU, pooling)
    request = Request("What is shown?", pooling=pooling, caption_tokens=4)
    clips = [read_clip(videos / f"clip{number}.mp4", 4, 96, "av") for number in (0, 3)]
    together = extract_batch(frozen, request, clips)
    assert together.hidden_states.shape == (2, LAYERS + 1, WIDTH) and together.hidden_states.dtype == torch.float32
    without = extract_batch(frozen, dataclasses.replace(request, caption_tokens=0), clips)
    assert without.captions is None
    assert torch.allclose(without.hidden_states, together.hidden_states, atol=1e-5)
    for row, clip in enumerate(clips):
        inputs = tokenise(frozen, request, [clip])
        with torch.no_grad():
            output = frozen.model(**inputs, output_hidden_states=True, output_attentions=pooling == "attention")
            written = frozen.model.generate(**inputs, do_sample=False, max_new_tokens=4)[:, inputs["input_ids"].shape[1] :]
        for layer, hidden in enumerate(output.hidden_states):
            if pooling == "mean":
                wanted = hidden[0].mean(dim=0)
            elif pooling == "last":
                wanted = hidden[0, -1]
            else:
                wanted = output.attentions[max(layer - 1, 0)][0, :, -1].mean(dim=0) @ hidden[0]
            assert torch.allclose(together.hidden_states[row, layer], wanted, atol=1e-4), layer
        text = frozen.processor.batch_decode(written, skip_special_tokens=True)[0]
        assert together.captions[row] == " ".join(text.split())
    assert not torch.allclose(together.hidden_states[0], together.hidden_states[1], atol=1e-3)  # it does look at the video


@pytest.mark.parametrize("family", AS_INSTALLED)
def test_half_precision_differs_by_rounding_only(videos, models, family):
    clips = [read_clip(videos / f"clip{number}.mp4", 4, 96, "av") for number in (0, 1)]
    request = Request("What is shown?")
    exact, half = (extract_batch(load_lvlm(models(family), None, dtype, CPU, "mean"), request, clips) for dtype in ("float32", "bfloat16"))
    error = (half.hidden_states - exact.hidden_states).norm(dim=-1) / exact.hidden_states.norm(dim=-1)
    assert half.hidden_states.dtype == torch.float32 and 0 < error.max() < 0.05


@pytest.mark.parametrize("family", AS_INSTALLED)
def test_pooling_over_the_video_leaves_the_prompt_out(videos, models, family):
    frozen = load_lvlm(models(family), None, "auto", CPU, "mean")
    clip = read_clip(videos / "clip0.mp4", 4, 96, "av")
    inputs = tokenise(frozen, Request("What?"), [clip])
    extracted = extract_batch(frozen, Request("What?", tokens="video"), [clip]).hidden_states[0]
    ids, config = inputs["input_ids"][0], frozen.model.config
    names = ("video_token_id", "video_token_index", "image_token_id", "image_token_index")
    place = next(getattr(config, name) for name in names if (ids == getattr(config, name, -1)).any())
    with torch.no_grad():
        layers = frozen.model(**inputs, output_hidden_states=True).hidden_states
    for layer, hidden in enumerate(layers):
        assert torch.allclose(extracted[layer], hidden[0][ids == place].mean(dim=0), atol=1e-4)


def test_the_command_writes_what_training_reads(videos, models, tmp_path, capsys):
    out = tmp_path / "features"
    model = models("qwen2-vl")
    assert main(command(videos, model, out, "--batch-size", "2", "--shard-items", "2")) == 0
    assert "5 clips, 4 layers of width 32, 3 shards" in (printed := capsys.readouterr().out) and "clips/s" in printed
    features = load_features(out, set())
    assert features.hidden_states.shape == (5, 4, 32) and features.hidden_states.dtype == torch.float16
    assert features.item_ids == [f"clip{number}" for number in range(5)]
    assert features.layers == ["embeddings", "layer_1", "layer_2", "layer_3"]
    assert features.extractor["model"] == model and features.extractor["revision"].startswith("sha256:")
    assert features.extractor["pooling"] == "mean over all tokens"
    one = load_features(out / "shard-00001.safetensors", set())  # each shard is a features file too
    assert one.item_ids == ["clip2", "clip3"] and torch.equal(one.hidden_states, features.hidden_states[2:4])
    provenance = json.loads((out / "index.json").read_text())["provenance"]
    assert (provenance["dtype"], provenance["frames"], provenance["decoder"]) == ("float32", 4, "av")
    assert "Describe this short video" in provenance["prompt"]
    pairs = tmp_path / "pairs.tsv"
    users = (np.random.default_rng(user).permutation(5) for user in range(30))
    pairs.write_text("".join(f"u{n}\t{' '.join(f'clip{i}' for i in order)}\n" for n, order in enumerate(users)), encoding="utf-8")
    small = ["--dim", "8", "--epochs", "1", "--max-history", "4", "--device", "cpu", "--no-comparison"]
    assert main(["run", "--interactions", str(pairs), "--features", str(out), "--out", str(tmp_path / "run"), *small]) == 0
    manifest = json.loads((tmp_path / "run" / "artifact" / "model.json").read_text())
    assert manifest["layers"]["names"] == features.layers and manifest["extractor"] == features.extractor


def test_a_killed_extraction_goes_on_and_ends_the_same(videos, models, tmp_path, monkeypatch, capsys):
    model = models("qwen2-vl")
    settings = ("--batch-size", "1", "--shard-items", "2")
    assert main(command(videos, model, tmp_path / "whole", *settings)) == 0
    calls, flush = [], extraction.flush

    def killed(frozen, request, clips):
        calls.append(len(clips))
        if len(calls) == 4:  # two clips are in a shard, one is not yet
            monkeypatch.setattr(extraction, "flush", lambda *given: None)  # a kill leaves no time for it
            raise KeyboardInterrupt
        return extract_batch(frozen, request, clips)

    monkeypatch.setattr(extraction, "extract_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        main(command(videos, model, tmp_path / "killed", *settings))
    monkeypatch.setattr(extraction, "flush", flush)
    (tmp_path / "killed" / "shard-00001.safetensors.partial").write_bytes(b"torn")
    calls.clear()
    calls += [0] * 9  # never reaches the fourth again
    assert main(command(videos, model, tmp_path / "killed", *settings)) == 0
    assert len(calls) - 9 == 3 and "(2 clips were done before)" in capsys.readouterr().out
    whole, again = load_features(tmp_path / "whole", set()), load_features(tmp_path / "killed", set())
    assert whole.item_ids == again.item_ids and torch.equal(whole.hidden_states, again.hidden_states)


def test_a_folder_begun_with_other_settings_is_left_alone(videos, models, tmp_path, capsys):
    model = models("qwen2-vl")
    assert main(command(videos, model, tmp_path / "out")) == 0
    assert main(command(videos, model, tmp_path / "out", "--pooling", "last")) == 2
    assert "was begun with another pooling" in capsys.readouterr().err


def test_a_video_that_cannot_be_read_is_left_out_named_and_tried_again(videos, models, tmp_path, capsys):
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "good.mp4").write_bytes((videos / "clip0.mp4").read_bytes())
    (folder / "late.mp4").write_bytes(b"still uploading")
    assert main(command(folder, models("qwen2-vl"), tmp_path / "out")) == 0
    assert "1 clips left out" in (printed := capsys.readouterr().out) and "late.mp4" in printed
    assert list(json.loads((tmp_path / "out" / "index.json").read_text())["failed"]) == ["late"]
    (folder / "late.mp4").write_bytes((videos / "clip1.mp4").read_bytes())
    assert main(command(folder, models("qwen2-vl"), tmp_path / "out")) == 0
    assert load_features(tmp_path / "out", set()).item_ids == ["good", "late"]
    assert json.loads((tmp_path / "out" / "index.json").read_text())["failed"] == {}


def test_no_readable_video_at_all_is_an_error(models, tmp_path, capsys):
    (tmp_path / "only.mp4").write_bytes(b"nothing")
    assert main(command(tmp_path, models("qwen2-vl"), tmp_path / "out")) == 2
    assert "no video could be read" in capsys.readouterr().err


def test_states_beyond_float16_are_left_out_unless_stored_as_float32(videos, models, tmp_path, monkeypatch, capsys):
    def enormous(frozen, request, clips):
        extracted = extract_batch(frozen, request, clips)
        return dataclasses.replace(extracted, hidden_states=extracted.hidden_states + 1e5)

    monkeypatch.setattr(extraction, "extract_batch", enormous)
    assert main(command(videos, models("qwen2-vl"), tmp_path / "half")) == 2
    assert "use --store float32" in capsys.readouterr().err
    assert main(command(videos, models("qwen2-vl"), tmp_path / "full", "--store", "float32")) == 0
    assert load_features(tmp_path / "full", set()).hidden_states.dtype == torch.float32


def test_a_batch_that_does_not_fit_is_halved_and_a_clip_that_fails_alone_is_named(videos, models, tmp_path, monkeypatch):
    sizes = []

    def cramped(frozen, request, clips):
        sizes.append(len(clips))
        if len(clips) > 2:
            raise torch.cuda.OutOfMemoryError("no memory")
        if any(clip.frames.shape[1] == 96 for clip in clips):  # clip3 stands upright
            raise ValueError("no such shape")
        return extract_batch(frozen, request, clips)

    model = models("qwen2-vl")
    assert main(command(videos, model, tmp_path / "whole", "--batch-size", "5")) == 0
    monkeypatch.setattr(extraction, "extract_batch", cramped)
    assert main(command(videos, model, tmp_path / "halved", "--batch-size", "5", "--longest-side", "96")) == 0
    assert sizes == [5, 2, 3, 1, 2, 1, 1]
    halved = load_features(tmp_path / "halved", set())
    assert halved.item_ids == ["clip0", "clip1", "clip2", "clip4"]
    assert json.loads((tmp_path / "halved" / "index.json").read_text())["failed"] == {"clip3": "clip3: no such shape"}
    whole = load_features(tmp_path / "whole", set()).hidden_states[[0, 1, 2, 4]]
    assert torch.allclose(halved.hidden_states, whole, atol=2e-3)


def test_a_model_that_fails_over_every_clip_stops_the_extraction(videos, models, tmp_path, monkeypatch, capsys):
    def failing(frozen, request, clips):
        raise ValueError("wrong template")

    monkeypatch.setattr(extraction, "extract_batch", failing)
    monkeypatch.setattr(extraction, "FAILURES_IN_A_ROW", 3)
    assert main(command(videos, models("qwen2-vl"), tmp_path / "out")) == 2
    assert "3 clips in a row failed; the last: wrong template" in capsys.readouterr().err


def test_what_is_done_is_kept_whatever_stops_the_extraction(videos, models, tmp_path, monkeypatch, capsys):
    def failing(frozen, request, clips):
        if clips[0].frames[0, -1, -1].tolist() != first:
            raise RuntimeError("index out of range")
        return extract_batch(frozen, request, clips)

    first = read_clip(videos / "clip0.mp4", 4, 336, "av").frames[0, -1, -1].tolist()
    monkeypatch.setattr(extraction, "extract_batch", failing)
    monkeypatch.setattr(extraction, "FAILURES_IN_A_ROW", 3)
    assert main(command(videos, models("qwen2-vl"), tmp_path / "out", "--batch-size", "1")) == 2
    assert "3 clips in a row failed; the last: index out of range" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(command(videos, models("qwen2-vl"), tmp_path / "out")) == 0
    assert "(1 clips were done before)" in capsys.readouterr().out


def test_a_pass_that_failed_holds_on_to_nothing(monkeypatch):
    held = []

    def failing(frozen, request, clips):
        activations = torch.zeros(3)
        held.append(weakref.ref(activations))
        raise torch.cuda.OutOfMemoryError("no memory")

    monkeypatch.setattr(extraction, "extract_batch", failing)
    assert extraction.attempt(None, None, []) == "no memory"
    assert held[0]() is None


@pytest.mark.parametrize("name", ["missing", "changed", "index"])
def test_a_damaged_folder_is_refused_with_the_file(videos, models, tmp_path, name):
    out = tmp_path / "out"
    assert main(command(videos, models("qwen2-vl"), out)) == 0
    shard = out / "shard-00000.safetensors"
    if name == "missing":
        shard.unlink()
    elif name == "changed":
        shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    else:
        (out / "index.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="index.json" if name == "index" else "shard-00000.safetensors"):
        load_features(out, set())


def tiny_text_encoder(folder):
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir()
    letters = [chr(code) for code in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    return folder


def test_captions_become_a_representation_of_their_own(videos, models, tmp_path, capsys):
    encoder = tiny_text_encoder(tmp_path / "encoder")
    out = tmp_path / "out"
    captions = ("--captions", "--caption-tokens", "6", "--caption-encoder", str(encoder), "--batch-size", "2")
    assert main(command(videos, models("llava-next-video"), out, *captions)) == 0
    with (out / "captions.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["item"] for row in rows] == [f"clip{number}" for number in range(5)]
    written = load_features(out / "captions.safetensors", set())
    assert written.hidden_states.shape == (5, 1, 16) and written.layers == ["block_2"]
    assert written.extractor["model"] == str(encoder)
    # The same through the command for texts, which takes the column by name.
    again = tmp_path / "again.safetensors"
    texts = ["encode-titles", "--titles", str(out / "captions.csv"), "--column", "caption", "--encoder", str(encoder), "--last-layer"]
    assert main([*texts, "--out", str(again)]) == 0
    assert torch.equal(load_features(again, set()).hidden_states, written.hidden_states)
    assert main([*texts[:-1], "--out", str(again)]) == 0
    assert load_features(again, set()).hidden_states.shape == (5, 3, 16)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (["--frames", "0"], "--frames is 0"),
        (["--template", "no place for it"], r"--template lacks {prompt}"),
        (["--prompt", " "], "--prompt is empty"),
        (["--model", "no/such/model"], "no/such/model: transformers"),
        (["--videos", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["--captions", "--caption-encoder", "no/such/encoder"], "no/such/encoder: no text encoder that can be loaded"),
    ],
)
def test_a_setting_that_cannot_be_ends_with_code_2_and_the_reason(videos, models, tmp_path, capsys, monkeypatch, change, reason):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main([*command(videos, models("qwen2-vl"), tmp_path / "out"), *change]) == 2
    assert reason in capsys.readouterr().err


def test_a_missing_decoder_is_named(videos, models, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "decord", None)
    assert main(command(videos, models("qwen2-vl"), tmp_path / "out", "--decoder", "decord")) == 2
    assert "decord cannot be imported; install dff with its extra [extract]" in capsys.readouterr().err
