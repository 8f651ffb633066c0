"""Asks the exported model what it would show the personas, through ONNX Runtime as a server does."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from safetensors import safe_open

from dff.demo.catalogue import Clip
from dff.demo.personas import Persona
from dff.errors import DataError
from dff.item_ids import read_lines
from dff.verify import open_graph, read_manifest

TOP = 20
MIN_ON_TOPIC = 15  # of the top 20


@dataclass(frozen=True)
class Verdict:
    persona: Persona
    topics: list[tuple[str, int]]  # topics of the top 20, most frequent first
    cold_on_topic: list[int]  # ranks (from 1) of never trained clips of the persona's topics
    cold_off_topic: list[int]

    @property
    def on_topic(self) -> int:
        return sum(count for topic, count in self.topics if topic in self.persona.topics)


class Recommender:
    """Both towers of an artifact over the clips of the demo."""

    def __init__(self, artifact: Path, hidden_states: Path, clips: list[Clip]) -> None:
        manifest, _ = read_manifest(artifact)
        self.longest: int = manifest["max_history"]
        self.cosine: bool = manifest["similarity"] == "cosine"
        self.user_tower = open_graph(artifact / "user_tower.onnx")
        ids = read_lines(artifact / "item_ids.txt")
        row_of = {item: row for row, item in enumerate(ids, start=1)}
        self.clips = clips
        self.position = {clip.item_id: place for place, clip in enumerate(clips)}
        self.cold = {clip.item_id for clip in clips} - row_of.keys()
        rows = np.array([row_of.get(clip.item_id, manifest["unknown_item_row"]) for clip in clips], dtype=np.int64)
        with safe_open(str(hidden_states), framework="np") as stream:
            states = stream.get_tensor("hidden_states").astype(np.float32)  # (N, L, D), in the order of items.jsonl
        item_tower = open_graph(artifact / "item_tower.onnx")
        self.vectors = item_tower.run(["item_vector"], {"item_index": rows, "hidden_states": states})[0]  # (N, d)

    def rank(self, history: list[str]) -> list[Clip]:
        """All clips outside the history, best first."""
        recent = [self.position[item] for item in history[-self.longest :]]
        inputs = np.zeros((1, self.longest, self.vectors.shape[1]), dtype=np.float32)
        mask = np.zeros((1, self.longest), dtype=bool)
        inputs[0, self.longest - len(recent) :] = self.vectors[recent]
        mask[0, self.longest - len(recent) :] = True
        user = self.user_tower.run(["user_vector"], {"item_vectors": inputs, "mask": mask})[0][0]
        scores = self.vectors @ user
        if self.cosine:
            scores = scores / np.maximum(np.linalg.norm(self.vectors, axis=1), 1e-12)
        seen = {self.position[item] for item in history}
        return [self.clips[place] for place in np.argsort(-scores, kind="stable") if place not in seen]


def judge(recommender: Recommender, persona: Persona, history: list[str]) -> Verdict:
    ranking = recommender.rank(history)
    cold = [(rank, clip.topic in persona.topics) for rank, clip in enumerate(ranking, start=1) if clip.item_id in recommender.cold]
    return Verdict(
        persona,
        Counter(clip.topic for clip in ranking[:TOP]).most_common(),
        [rank for rank, on_topic in cold if on_topic],
        [rank for rank, on_topic in cold if not on_topic],
    )


def table(verdicts: list[Verdict]) -> str:
    lines = [f"| persona | of the top {TOP} on topic | topics of the top {TOP} |", "|---|---|---|"]
    for verdict in verdicts:
        topics = ", ".join(f"{topic} {count}" for topic, count in verdict.topics)
        lines.append(f"| `{verdict.persona.user_id}` | {verdict.on_topic} | {topics} |")
    return "\n".join(lines)


def cold_summary(verdicts: list[Verdict]) -> str:
    on_topic = [rank for verdict in verdicts for rank in verdict.cold_on_topic]
    off_topic = [rank for verdict in verdicts for rank in verdict.cold_off_topic]
    if not on_topic or not off_topic:
        return "No persona has both clips to like and clips to dislike among those that training never saw."
    return (
        f"Clips that training never saw, over all personas: median rank {median(on_topic):.0f} where the topic is the persona's, "
        f"{median(off_topic):.0f} where it is not."
    )


def insist(verdicts: list[Verdict]) -> None:
    """Raises DataError when a persona is shown too little of what it watches: such a model must not be shipped."""
    poor = [f"{verdict.persona.user_id} ({verdict.on_topic})" for verdict in verdicts if verdict.on_topic < MIN_ON_TOPIC]
    if poor:
        raise DataError(f"fewer than {MIN_ON_TOPIC} of the top {TOP} are on topic for {', '.join(poor)}")
