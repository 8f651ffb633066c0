"""The demo's invented clips: titles, authors, attributes and times, all drawn from one seed."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from dff.demo.authors import Author, build_authors
from dff.demo.title_frames import FRAMES, PLACED
from dff.demo.vocabulary import ENGLISH_KINDS, OTHER_LANGUAGES, TOPICS, Subtopic, Topic
from dff.errors import DataError

FIRST_DAY = datetime(2026, 8, 1, tzinfo=timezone.utc)
LAST_DAY = datetime(2026, 11, 21, tzinfo=timezone.utc)
OTHER_LANGUAGE_SHARE = 0.24
MIN_WORDS, MAX_WORDS = 4, 12
KIND_TAGS = {"things": "find", "acts": "diary", "tips": "howto"}
ATTEMPTS = 200  # draws of one title before the vocabulary counts as used up


@dataclass(frozen=True)
class Clip:
    item_id: str
    title: str
    author: Author
    topic: str
    subtopic: str
    language: str
    duration_s: float
    tags: list[str]
    published: datetime

    def as_item(self) -> dict[str, object]:
        """The JSON that the server's item calls take."""
        published_at = format_time(self.published)
        return {
            "item_id": self.item_id,
            "title": self.title,
            "author_id": self.author.author_id,
            "attributes": {
                "topic": self.topic,
                "subtopic": self.subtopic,
                "language": self.language,
                "duration_s": self.duration_s,
                "tags": self.tags,
                "author_name": self.author.name,
                "published_at": published_at,
                "synthetic": True,
            },
            "available_from": published_at,
            "expires_at": None,
            "hidden": False,
        }

    def encoder_text(self) -> str:
        """What the text encoder reads: few people post a clip without hashtags, and they tie the languages together."""
        return f"{self.title} #{slug(self.topic)} #{slug(self.subtopic)}"


def format_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def slug(name: str) -> str:
    return name.replace(" ", "-")


def capitalise(text: str) -> str:
    return text[0].upper() + text[1:]


class TitleWriter:
    """Draws titles without repeating one, and the least used frames first, so that few titles open alike."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.titles: set[str] = set()
        self.phrase_uses: dict[str, int] = {}
        self.frame_uses: dict[str, int] = {}

    def rarest(self, choices: list[str], uses: dict[str, int]) -> str:
        fewest = min(uses.get(choice, 0) for choice in choices)
        chosen = self.rng.choice([choice for choice in choices if uses.get(choice, 0) == fewest])
        uses[chosen] = fewest + 1
        return chosen

    def draw(self, topic: Topic, kind: str, phrase: str) -> str:
        words = phrase.split()
        bare = kind in ENGLISH_KINDS and len(words) > MIN_WORDS
        endable = kind in ("things", "acts") and "," not in phrase and not PLACED & set(words)
        fate = self.rng.random()
        if endable and fate < 0.6:
            return f"{phrase} {self.rarest(topic.endings, self.frame_uses)}"
        if bare and fate < 0.4:
            return phrase
        frame = self.rarest(FRAMES[kind], self.frame_uses)
        return frame.replace("{}", phrase)

    def write(self, topic: Topic, subtopic: Subtopic, language: str) -> tuple[str, str]:
        """Returns the title and the kind of phrase it was made of."""
        kinds = ENGLISH_KINDS if language == "en" else (language,)
        kind_of = {phrase: kind for kind in kinds for phrase in subtopic.phrases[kind]}
        for _ in range(ATTEMPTS):
            phrase = self.rarest(list(kind_of), self.phrase_uses)
            title = capitalise(self.draw(topic, kind_of[phrase], phrase))
            if title not in self.titles and MIN_WORDS <= len(title.split()) <= MAX_WORDS:
                self.titles.add(title)
                return title, kind_of[phrase]
        raise DataError(f"the vocabulary of {topic.name}/{subtopic.name} has no more {language} titles; ask for fewer clips")


def spread(total: int, parts: int, rng: random.Random) -> list[int]:
    """Whole numbers that differ by at most one and add up to the total; who gets one more is drawn."""
    counts = [total // parts] * parts
    for part in rng.sample(range(parts), total % parts):
        counts[part] += 1
    return counts


def draw_languages(count: int, offset: int, rng: random.Random) -> list[str]:
    """Mostly English; the other languages take turns over the sub-topics."""
    others = int(count * OTHER_LANGUAGE_SHARE + rng.random())
    return [OTHER_LANGUAGES[(offset + turn) % len(OTHER_LANGUAGES)] for turn in range(others)] + ["en"] * (count - others)


def draw_duration(topic: Topic, rng: random.Random) -> float:
    return round(topic.shortest_s + (topic.longest_s - topic.shortest_s) * rng.betavariate(1.6, 3.0), 1)


def draw_times(count: int, rng: random.Random) -> list[datetime]:
    span = int((LAST_DAY - FIRST_DAY).total_seconds())
    return [FIRST_DAY + timedelta(seconds=second) for second in sorted(rng.sample(range(span), count))]


def build_catalogue(count: int, seed: int) -> list[Clip]:
    """Clips in the order of publication; ids follow that order, so the last ids are the newest clips."""
    rng = random.Random(f"{seed}/catalogue")
    authors = build_authors(rng)
    writer = TitleWriter(rng)
    places = [(topic, subtopic) for topic in TOPICS for subtopic in topic.subtopics]
    drafts: list[dict[str, object]] = []
    for offset, ((topic, subtopic), share) in enumerate(zip(places, spread(count, len(places), rng), strict=True)):
        for language in draw_languages(share, offset, rng):
            title, kind = writer.write(topic, subtopic, language)
            fitting = [author for author in authors if author.topic == topic.name and author.language == language]
            tags = [slug(topic.name), slug(subtopic.name)] + ([KIND_TAGS[kind]] if kind in KIND_TAGS else [])
            drafts.append(
                {
                    "title": title,
                    "author": rng.choices(fitting, [author.output for author in fitting])[0],
                    "topic": topic.name,
                    "subtopic": subtopic.name,
                    "language": language,
                    "duration_s": draw_duration(topic, rng),
                    "tags": tags,
                }
            )
    rng.shuffle(drafts)
    times = draw_times(count, rng)
    return [
        Clip(item_id=f"clip-{number:04d}", published=moment, **draft)  # type: ignore[arg-type]
        for number, (draft, moment) in enumerate(zip(drafts, times, strict=True), start=1)
    ]
