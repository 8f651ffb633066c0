"""The synthetic demo: the same seed gives the same data, they hold what they promise, and the bundled demo is what the code makes."""

import json
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from dff.demo import DEFAULT_SEED
from dff.demo.audience import positives
from dff.demo.build import Demo, Size, build, generate, judge_personas, write_data
from dff.demo.check import MIN_ON_TOPIC, Recommender, Verdict, insist, table
from dff.demo.files import settle_header, write_interactions
from dff.demo.personas import NEW_USER, PERSONAS, Persona
from dff.demo.vocabulary import TOPICS
from dff.errors import DataError
from dff.interactions import read_interactions

SMALL = Size(clips=560, cold=14, users=120, served=30)
BUNDLED = Path(__file__).parents[1] / "demo"


@pytest.fixture(scope="module")
def small() -> Demo:
    return generate(3, SMALL)


@pytest.fixture(scope="module")
def bundled() -> Demo:
    return generate(DEFAULT_SEED, Size())


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def parse_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(small: Demo, tmp_path: Path) -> None:
    for name, demo in {"first": small, "again": generate(3, SMALL), "other": generate(4, SMALL)}.items():
        write_data(demo, tmp_path / name)
    for file in ("items.jsonl", "events.jsonl"):
        first, again, other = ((tmp_path / name / file).read_bytes() for name in ("first", "again", "other"))
        assert first == again
        assert first != other


def test_ids_and_titles_are_unique_and_titles_read_like_titles(small: Demo) -> None:
    assert len(small.clips) == SMALL.clips
    assert len({clip.item_id for clip in small.clips}) == SMALL.clips
    assert len({clip.title.casefold() for clip in small.clips}) == SMALL.clips
    assert all(4 <= len(clip.title.split()) <= 12 and "{" not in clip.title for clip in small.clips)
    openings = Counter(" ".join(clip.title.split()[:2]) for clip in small.clips)
    assert openings.most_common(1)[0][1] <= 0.02 * SMALL.clips


def test_every_topic_and_language_is_there_and_authors_keep_to_theirs(small: Demo) -> None:
    assert {(clip.topic, clip.subtopic) for clip in small.clips} == {(topic.name, sub.name) for topic in TOPICS for sub in topic.subtopics}
    languages = Counter(clip.language for clip in small.clips)
    assert set(languages) == {"en", "es", "de", "fr", "pt"}
    assert languages["en"] > SMALL.clips / 2
    assert all(clip.author.topic == clip.topic and clip.author.language == clip.language for clip in small.clips)


def test_phrases_of_the_vocabulary_stand_in_it_once() -> None:
    phrases = [phrase for topic in TOPICS for sub in topic.subtopics for kind in sub.phrases.values() for phrase in kind]
    assert [phrase for phrase, count in Counter(phrases).items() if count > 1] == []
    assert all(phrases)


def test_items_are_labelled_synthetic_and_have_valid_times(small: Demo, tmp_path: Path) -> None:
    write_data(small, tmp_path)
    items = read_lines(tmp_path / "items.jsonl")
    times = [parse_time(item["available_from"]) for item in items]
    assert times == sorted(times)
    assert datetime(2026, 8, 1, tzinfo=timezone.utc) <= times[0] <= times[-1] < datetime(2026, 12, 1, tzinfo=timezone.utc)
    for item in items:
        assert item["attributes"]["synthetic"] is True
        assert item["attributes"]["published_at"] == item["available_from"]
        assert item["attributes"]["duration_s"] > 0


def test_events_are_ordered_unique_and_their_watch_portions_fit_their_types(small: Demo, tmp_path: Path) -> None:
    count = write_data(small, tmp_path)
    events = read_lines(tmp_path / "events.jsonl")
    published = {clip.item_id: clip.published for clip in small.clips}
    assert len(events) == count == len({event["event_id"] for event in events})
    assert len({(event["user_id"], event["item_id"]) for event in events}) == count
    assert {event["type"] for event in events} == {"view", "like", "share", "skip"}
    assert {event["user_id"] for event in events} == {user.user_id for user in small.users[: SMALL.served]}
    assert NEW_USER not in {event["user_id"] for event in events}
    times = [parse_time(event["at"]) for event in events]
    assert times == sorted(times)
    for event in events:
        portion = event["watch_ms"] / event["duration_ms"]
        assert 0 < portion <= 1
        assert event["type"] != "skip" or portion < 0.2
        assert event["type"] not in ("like", "share") or portion >= 0.35
        assert parse_time(event["at"]) > published[event["item_id"]]


def test_the_newest_clips_are_kept_from_everybody(small: Demo) -> None:
    newest = {clip.item_id for clip in small.clips[-SMALL.cold :]}
    assert not [one for impressions in small.watched.values() for one in impressions if one.clip.item_id in newest]


def test_the_trainer_reads_the_interactions_and_leaves_no_user_out(small: Demo, tmp_path: Path) -> None:
    write_interactions(tmp_path / "all.tsv", small.users, small.watched)
    interactions = read_interactions(tmp_path / "all.tsv")
    assert interactions.left_out == 0
    assert interactions.users == [user.user_id for user in small.users]
    assert all(8 <= len(sequence) <= 40 for sequence in interactions.sequences)


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.user_id)
def test_a_persona_likes_what_it_is_named_after(bundled: Demo, persona: Persona) -> None:
    topic_of = {clip.item_id: clip.topic for clip in bundled.clips}
    liked = [topic_of[item] for item in positives(bundled.watched[persona.user_id])]
    assert sum(topic in persona.topics for topic in liked) >= 0.7 * len(liked)


def test_a_vocabulary_that_is_used_up_is_named() -> None:
    with pytest.raises(DataError, match="no more .* titles"):
        generate(3, Size(clips=100_000, cold=0, users=1, served=1))


def test_a_model_that_shows_a_persona_too_little_of_its_topics_is_refused() -> None:
    def verdict(on_topic: int) -> Verdict:
        return Verdict(PERSONAS[0], [("cooking", on_topic), ("cars", 20 - on_topic)], [], [])

    insist([verdict(MIN_ON_TOPIC)])
    with pytest.raises(DataError, match=r"cooking-fan \(14\)"):
        insist([verdict(MIN_ON_TOPIC), verdict(14)])
    assert "cooking 14, cars 6" in table([verdict(14)])


def test_a_settled_safetensors_file_holds_the_same_in_a_fixed_order(tmp_path: Path) -> None:
    tensors, metadata = {"hidden_states": np.arange(6, dtype=np.float16).reshape(1, 2, 3)}, {key: key * 3 for key in "zyxabc"}
    contents = set()
    for attempt in range(5):
        path = tmp_path / f"{attempt}.safetensors"
        save_file(tensors, path, metadata=metadata)
        settle_header(path)
        contents.add(path.read_bytes())
        with safe_open(str(path), framework="np") as stream:
            assert stream.metadata() == metadata
            assert (stream.get_tensor("hidden_states") == tensors["hidden_states"]).all()
    assert len(contents) == 1


def test_nothing_of_a_refused_model_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_noise(demo: Demo, scratch: Path, out: Path) -> None:
        ids = [clip.item_id for clip in demo.clips]
        noise = np.random.default_rng(0).standard_normal((len(ids), 2, 8)).astype(np.float16)
        save_file({"hidden_states": noise}, out, metadata={"item_ids": json.dumps(ids)})

    monkeypatch.setattr("dff.demo.build.encode", write_noise)
    with pytest.raises(DataError, match="on topic"):
        build(tmp_path, 3, 1, SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.jsonl", "hidden_states.safetensors", "items.jsonl"]


def test_the_bundled_items_and_events_are_what_the_code_makes(bundled: Demo, tmp_path: Path) -> None:
    write_data(bundled, tmp_path)
    for file in ("items.jsonl", "events.jsonl"):
        assert (BUNDLED / file).read_bytes() == (tmp_path / file).read_bytes()


def test_the_bundled_demo_is_small() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()) <= 9_000_000


def test_the_bundled_model_holds_and_knows_the_personas(bundled: Demo) -> None:
    from dff.verify import verify

    verify(BUNDLED / "artifact")
    verdicts = judge_personas(bundled, BUNDLED / "artifact", BUNDLED / "hidden_states.safetensors")
    insist(verdicts)
    on_topic = [rank for verdict in verdicts for rank in verdict.cold_on_topic]
    off_topic = [rank for verdict in verdicts for rank in verdict.cold_off_topic]
    assert np.median(on_topic) < 0.5 * np.median(off_topic)


def test_a_ranking_leaves_out_the_history_and_nothing_else(bundled: Demo) -> None:
    recommender = Recommender(BUNDLED / "artifact", BUNDLED / "hidden_states.safetensors", bundled.clips)
    history = positives(bundled.watched["cooking-fan"])
    ranked = [clip.item_id for clip in recommender.rank(history)]
    assert len(set(ranked)) == len(ranked) == len(bundled.clips) - len(history)
    assert not set(ranked) & set(history)
