"""The words that the demo's titles are made of: one file a topic.

A topic's text holds, first, `endings` (where, when or how something happens) and `lengths` (shortest and longest clip, seconds), then its
sub-topics, each under a `# name`:

    things   noun phrases                                   acts   gerund phrases                    tips   imperatives
    es de fr pt   infinitive phrases, which fit any frame of their language without agreement of gender or number

Phrases are separated by `|`; a line that starts with a blank continues the one above it.
"""

from dataclasses import dataclass

from dff.demo.vocabulary import (
    cars,
    comedy,
    cooking,
    dance,
    diy,
    fitness,
    football,
    gaming,
    gardening,
    makeup,
    music,
    pets,
    science,
    travel,
)

ENGLISH_KINDS = ("things", "acts", "tips")
OTHER_LANGUAGES = ("es", "de", "fr", "pt")


@dataclass(frozen=True)
class Subtopic:
    name: str
    phrases: dict[str, list[str]]  # by kind and, for the other languages, by language


@dataclass(frozen=True)
class Topic:
    name: str
    endings: list[str]
    shortest_s: int
    longest_s: int
    subtopics: list[Subtopic]


def parse_fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    key = ""
    for line in text.strip().splitlines():
        if line.startswith(" "):
            fields[key] += " " + line.strip()
        else:
            key, _, value = line.partition(":")
            fields[key] = value.strip()
    return fields


def split_phrases(value: str) -> list[str]:
    return [phrase.strip() for phrase in value.split("|")]


def parse_topic(name: str, text: str) -> Topic:
    head, *parts = text.split("\n# ")
    general = parse_fields(head)
    shortest, longest = map(int, general["lengths"].split())
    subtopics = []
    for part in parts:
        title, _, body = part.partition("\n")
        fields = parse_fields(body)
        phrases = {kind: split_phrases(fields[kind]) for kind in (*ENGLISH_KINDS, *OTHER_LANGUAGES)}
        subtopics.append(Subtopic(title.strip(), phrases))
    return Topic(name, split_phrases(general["endings"]), shortest, longest, subtopics)


TOPICS = [
    parse_topic(module.__name__.rpartition(".")[2], module.TEXT)
    for module in (
        cooking,
        travel,
        pets,
        fitness,
        football,
        gaming,
        makeup,
        music,
        dance,
        diy,
        gardening,
        science,
        comedy,
        cars,
    )
]
