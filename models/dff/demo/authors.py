"""The invented people and groups behind the clips."""

import random
from dataclasses import dataclass

from dff.demo.vocabulary import OTHER_LANGUAGES, TOPICS, parse_fields

AUTHORS = 120

# English authors are two words; in the other languages each topic has one author, named after a person.
WORDS = parse_fields("""
first: Amber Brisk Copper Crooked Dusty Early Fuzzy Gentle Hollow Humble Idle Jolly Little Lopsided Mellow Midnight Mossy Noisy Patient
    Plaid Quiet Rusty Salted Second Sleepy Slow Spare Spotted Striped Sunday Tidy Tuesday Unlikely Velvet Wandering Wobbly
second: Acorn Anchor Badger Bicycle Bramble Button Candle Compass Corner Dragonfly Drawer Fig Gate Hammock Kettle Ladder Lantern Lighthouse
    Magpie Marble Meadow Otter Paperclip Pebble Pocket Postcard Radish Sparrow Staircase Teapot Thimble Turnip Umbrella Walnut
es: Alma Bruno Celia Darío Elisa Fabio Greta Iván Jimena Leandro Marisol Nicanor Olalla Pilar
de: Anneke Bodo Carla Detlef Elfi Frieder Gesa Henning Imke Jolanda Kuno Levke Mirko Nele
fr: Aurore Basile Colette Denis Fanny Gaspard Honorine Joris Lucie Maxence Noémie Pascal Rosalie Tristan
pt: Amélia Benedito Clarice Dinis Evandro Flora Gil Inês Jurema Laurindo Marta Nuno Otília Rui
""")
NAME_PATTERNS = {"es": "Rincón de {}", "de": "{}s Werkstatt", "fr": "Chez {}", "pt": "Cantinho de {}"}


@dataclass(frozen=True)
class Author:
    author_id: str
    name: str
    topic: str
    language: str
    output: float  # how much of the topic's clips comes from this author, relative to the others


def build_authors(rng: random.Random) -> list[Author]:
    """In every topic one author for each other language; all the rest speak English."""
    names = [f"{first} {second}" for first in WORDS["first"].split() for second in WORDS["second"].split()]
    rng.shuffle(names)
    posts: list[tuple[str, str, str]] = []  # name, topic, language
    for row, topic in enumerate(TOPICS):
        for language in OTHER_LANGUAGES:
            name = NAME_PATTERNS[language].format(WORDS[language].split()[row])
            posts.append((name, topic.name, language))
    for row in range(AUTHORS - len(posts)):
        posts.append((names[row], TOPICS[row % len(TOPICS)].name, "en"))
    rng.shuffle(posts)
    return [
        Author(f"a{number:03d}", name, topic, language, round(rng.lognormvariate(0, 0.6), 6))
        for number, (name, topic, language) in enumerate(posts, start=1)
    ]
