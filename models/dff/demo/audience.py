"""Invented users and what they watched: tastes that can be seen in the data, sessions that drift, popular clips and skipped ones."""

import bisect
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import accumulate

from dff.demo.catalogue import Clip, format_time
from dff.demo.personas import PERSONAS, Persona
from dff.demo.vocabulary import OTHER_LANGUAGES, TOPICS

MIN_POSITIVES, MAX_POSITIVES = 8, 40
PERSONA_POSITIVES = (24, 32)
FIRST_SESSION = datetime(2026, 9, 10, tzinfo=timezone.utc)
LAST_SESSION = datetime(2026, 11, 23, tzinfo=timezone.utc)
# From one clip of a session to the next. A topic that stuck longer would teach the model to follow the last clip alone.
STAY_ON_TOPIC, STAY_ON_SUBTOPIC = 0.3, 0.6
STRAY = 0.1  # chance that a liked clip lies outside the user's topics
SKIPS_PER_POSITIVE = 0.35
HALF_LIFE_DAYS = 30.0  # of a clip's draw


@dataclass(frozen=True)
class User:
    user_id: str
    topics: dict[str, float]  # weights
    subtopics: dict[str, float]  # how much the user prefers a sub-topic to the others of its topic
    language: str
    positives: int


@dataclass(frozen=True)
class Impression:
    user_id: str
    clip: Clip
    kind: str  # view, like, share, skip
    at: datetime
    watch_ms: int

    @property
    def positive(self) -> bool:
        return self.kind in ("like", "share") or (self.kind == "view" and self.watch_ms >= 0.5 * self.clip.duration_s * 1000)

    def as_event(self, event_id: str) -> dict[str, object]:
        return {
            "event_id": event_id,
            "user_id": self.user_id,
            "item_id": self.clip.item_id,
            "type": self.kind,
            "at": format_time(self.at),
            "watch_ms": self.watch_ms,
            "duration_ms": round(self.clip.duration_s * 1000),
        }


@dataclass
class Shelf:
    """Clips of one topic in the order of publication."""

    clips: list[Clip] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)


def build_users(count: int, seed: int) -> list[User]:
    """The personas first, then `u0001`…"""
    rng = random.Random(f"{seed}/users")
    users = [build_persona(persona, rng) for persona in PERSONAS[:count]]
    names = [topic.name for topic in TOPICS]
    for number in range(1, count - len(users) + 1):
        chosen = rng.sample(names, rng.choices((1, 2, 3), (3, 4, 3))[0])
        topics = {name: rng.uniform(0.4, 1.0) for name in chosen}
        language = rng.choices(("en", *OTHER_LANGUAGES), (80, 5, 5, 5, 5))[0]
        positives = MIN_POSITIVES + int((MAX_POSITIVES - MIN_POSITIVES + 1) * rng.random() ** 2)
        users.append(User(f"u{number:04d}", topics, prefer_subtopics(rng), language, positives))
    return users


def build_persona(persona: Persona, rng: random.Random) -> User:
    topics = dict.fromkeys(persona.topics, 1.0)
    return User(persona.user_id, topics, prefer_subtopics(rng), "en", rng.randint(*PERSONA_POSITIVES))


def prefer_subtopics(rng: random.Random) -> dict[str, float]:
    return {subtopic.name: rng.choice((0.3, 1.0, 3.0)) for topic in TOPICS for subtopic in topic.subtopics}


def language_weight(clip: Clip, user: User) -> float:
    if clip.language == user.language:
        return 1.0 if user.language == "en" else 4.0
    return 0.6 if clip.language == "en" else 0.08


class Audience:
    """Draws impressions from the clips that training may see; the newest clips are kept from it by the caller."""

    def __init__(self, clips: list[Clip], seed: int) -> None:
        self.rng = random.Random(f"{seed}/audience")
        self.shelves: dict[str, Shelf] = defaultdict(Shelf)
        # A few clips are watched by many: a long tail, whatever the topic.
        self.appeal = {clip.item_id: self.rng.lognormvariate(0, 0.8) for clip in clips}
        for clip in clips:
            self.shelves[clip.topic].clips.append(clip)
            self.shelves[clip.topic].times.append(clip.published)

    def watch(self, user: User) -> list[Impression]:
        """All impressions of one user in time order."""
        seen: set[str] = set()
        impressions: list[Impression] = []
        for moment, length in self.plan_sessions(user.positives):
            at = moment
            topic, previous = "", None
            for _ in range(length):
                topic, clip = self.next_clip(user, topic, previous, at, seen)
                at = self.show(user, clip, self.positive_kind(), at, seen, impressions)
                previous = clip if clip.topic in user.topics else None
                if self.rng.random() < SKIPS_PER_POSITIVE:
                    at = self.show(user, self.foreign_clip(user, at, seen), "skip", at, seen, impressions)
        return impressions

    def plan_sessions(self, positives: int) -> list[tuple[datetime, int]]:
        lengths: list[int] = []
        while sum(lengths) < positives:
            lengths.append(min(self.rng.randint(2, 7), positives - sum(lengths)))
        # No two sessions of a user start in the same half hour, so they never overlap.
        slots = self.rng.sample(range(int((LAST_SESSION - FIRST_SESSION) / timedelta(minutes=30))), len(lengths))
        starts = [FIRST_SESSION + timedelta(minutes=30 * slot, milliseconds=self.rng.randrange(300_000)) for slot in sorted(slots)]
        return list(zip(starts, lengths, strict=True))

    def next_clip(self, user: User, topic: str, previous: Clip | None, at: datetime, seen: set[str]) -> tuple[str, Clip]:
        if self.rng.random() < STRAY:
            return topic, self.foreign_clip(user, at, seen)
        if not topic or self.rng.random() > STAY_ON_TOPIC:
            topic = self.rng.choices(list(user.topics), list(user.topics.values()))[0]
        subtopic = previous.subtopic if previous and previous.topic == topic and self.rng.random() < STAY_ON_SUBTOPIC else None
        return topic, self.pick(user, topic, subtopic, at, seen)

    def foreign_clip(self, user: User, at: datetime, seen: set[str]) -> Clip:
        others = [name for name in self.shelves if name not in user.topics]
        return self.pick(user, self.rng.choice(others), None, at, seen)

    def pick(self, user: User, topic: str, subtopic: str | None, at: datetime, seen: set[str]) -> Clip:
        """An unseen published clip, drawn by appeal, freshness, sub-topic and language; the sub-topic gives way when it has run out."""
        shelf = self.shelves[topic]
        published = shelf.clips[: bisect.bisect_right(shelf.times, at)]
        unseen = [clip for clip in published if clip.item_id not in seen]
        wanted = [clip for clip in unseen if clip.subtopic == subtopic] or unseen
        if not wanted:  # a small catalogue: the user has seen the whole topic, so another one has to do
            everything = [clip for shelf in self.shelves.values() for clip in shelf.clips]
            wanted = [clip for clip in everything if clip.published <= at and clip.item_id not in seen]
        weights = list(accumulate(self.weight(user, clip, at) for clip in wanted))
        return wanted[bisect.bisect(weights, self.rng.random() * weights[-1], hi=len(wanted) - 1)]

    def weight(self, user: User, clip: Clip, at: datetime) -> float:
        age_days = (at - clip.published) / timedelta(days=1)
        freshness = 0.3 + 0.5 ** (age_days / HALF_LIFE_DAYS)
        return self.appeal[clip.item_id] * freshness * user.subtopics[clip.subtopic] * language_weight(clip, user)

    def positive_kind(self) -> str:
        return self.rng.choices(("view", "like", "share"), (76, 18, 6))[0]

    def show(self, user: User, clip: Clip, kind: str, at: datetime, seen: set[str], impressions: list[Impression]) -> datetime:
        """Adds one impression and returns when the next can begin."""
        seen.add(clip.item_id)
        if kind == "skip":
            portion = self.rng.uniform(0.02, 0.15)
            kind = self.rng.choices(("skip", "view"), (70, 30))[0]  # some people just swipe on, which counts as a short view
        else:
            portion = 1.0 if self.rng.random() < 0.4 else self.rng.uniform(0.6 if kind == "view" else 0.4, 1.0)
        watch_ms = int(portion * clip.duration_s * 1000)
        # An event is sent when the clip is left.
        at += timedelta(milliseconds=watch_ms + self.rng.randint(300, 4000))
        impressions.append(Impression(user.user_id, clip, kind, at, watch_ms))
        return at


def watch_all(users: list[User], clips: list[Clip], seed: int) -> dict[str, list[Impression]]:
    audience = Audience(clips, seed)
    return {user.user_id: audience.watch(user) for user in users}


def positives(impressions: list[Impression]) -> list[str]:
    return [impression.clip.item_id for impression in impressions if impression.positive]
