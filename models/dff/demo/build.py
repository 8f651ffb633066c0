"""Builds the whole demo: catalogue, audience, hidden states, model, check, README."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dff.demo import DEFAULT_SEED
from dff.demo.audience import Impression, User, build_users, positives, watch_all
from dff.demo.catalogue import Clip, build_catalogue
from dff.demo.check import Recommender, Verdict, cold_summary, insist, judge, table
from dff.demo.files import settle_header, write_events, write_interactions, write_items, write_lines, write_titles
from dff.demo.personas import PERSONAS
from dff.demo.readme import Facts, render

DIM = 64  # enough for a thousand clips
CONTENT_GAIN = 1.0  # better on valid than the default here, where a clip has fifty interactions
DATA_SET = "reelfuse synthetic demo"  # the trainer names a data set after its file


@dataclass(frozen=True)
class Size:
    clips: int = 1000
    cold: int = 25  # newest clips, which training must not see
    users: int = 3000
    served: int = 60  # users whose events the server gets


@dataclass(frozen=True)
class Demo:
    clips: list[Clip]
    users: list[User]
    watched: dict[str, list[Impression]]  # by user, in time order
    served: list[User]


def generate(seed: int, size: Size) -> Demo:
    clips = build_catalogue(size.clips, seed)
    users = build_users(size.users, seed)
    watched = watch_all(users, clips[: len(clips) - size.cold], seed)
    return Demo(clips, users, watched, users[: size.served])


def write_data(demo: Demo, out: Path) -> int:
    """Writes what the server imports; returns the number of events."""
    out.mkdir(parents=True, exist_ok=True)
    write_items(out / "items.jsonl", demo.clips)
    return write_events(out / "events.jsonl", (impression for user in demo.served for impression in demo.watched[user.user_id]))


def encode(demo: Demo, scratch: Path, out: Path) -> None:
    from dff.titles import encode_titles

    write_titles(scratch / "titles.csv", demo.clips)
    encode_titles(scratch / "titles.csv", out)
    settle_header(out)


def train(demo: Demo, hidden_states: Path, scratch: Path, seed: int, epochs: int | None) -> tuple[str, Path]:
    """Runs the package's own training in the scratch folder; returns its summary and the artifact's folder."""
    from dff.recipe import build_recipe
    from dff.run import RunOptions, run

    interactions = scratch / f"{DATA_SET}.tsv"
    write_interactions(interactions, demo.users, demo.watched)
    changes = {"seed": seed, "dim": DIM, "content_gain": CONTENT_GAIN} | ({} if epochs is None else {"epochs": epochs})
    folder = scratch / "run"
    recipe = build_recipe("default", **changes)
    inputs = {"interactions": interactions, "features": hidden_states, "out": folder}
    summary = run(RunOptions(**inputs, recipe=recipe, device="cpu", name="demo", version="1"))
    return summary, folder / "artifact"


def judge_personas(demo: Demo, artifact: Path, hidden_states: Path) -> list[Verdict]:
    recommender = Recommender(artifact, hidden_states, demo.clips)
    return [judge(recommender, persona, positives(demo.watched[persona.user_id])) for persona in PERSONAS]


def describe(demo: Demo, size: Size, events: int, seed: int, verdicts: list[Verdict]) -> str:
    return render(
        Facts(
            clips=demo.clips,
            cold=size.cold,
            users=len(demo.users),
            interactions=sum(len(positives(impressions)) for impressions in demo.watched.values()),
            served_users=len(demo.served),
            events=events,
            command="python -m dff demo --out demo" + ("" if seed == DEFAULT_SEED else f" --seed {seed}"),
            personas=table(verdicts),
            cold_summary=cold_summary(verdicts),
        )
    )


def build(out: Path, seed: int, epochs: int | None, size: Size, data_only: bool = False) -> str:
    """Writes the demo to `out` and returns a summary. A model that fails the personas is not put there."""
    import torch

    # Sums depend on how they are split among threads; one thread gives the same model on machines of one kind.
    torch.set_num_threads(1)
    demo = generate(seed, size)
    events = write_data(demo, out)
    counts = f"{len(demo.clips)} clips, {len(demo.users)} users, {events} events of {len(demo.served)} served users"
    hidden_states = out / "hidden_states.safetensors"
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        encode(demo, scratch, hidden_states)
        if data_only:
            return f"{out}: {counts}"
        summary, artifact = train(demo, hidden_states, scratch, seed, epochs)
        verdicts = judge_personas(demo, artifact, hidden_states)
        print(f"{table(verdicts)}\n{cold_summary(verdicts)}", flush=True)
        insist(verdicts)
        shutil.rmtree(out / "artifact", ignore_errors=True)
        shutil.copytree(artifact, out / "artifact")
    write_lines(out / "README.md", describe(demo, size, events, seed, verdicts).splitlines())
    return f"{summary.replace(str(artifact), str(out / 'artifact'))}\n{out}: {counts}"
