"""The README that lies beside the demo's files; its numbers come from the run that wrote them."""

from collections import Counter
from dataclasses import dataclass

from dff.demo.catalogue import Clip
from dff.demo.personas import NEW_USER, PERSONAS


@dataclass(frozen=True)
class Facts:
    clips: list[Clip]
    cold: int  # newest clips, kept from training
    users: int
    interactions: int
    served_users: int
    events: int
    command: str
    personas: str  # table
    cold_summary: str


TEMPLATE = """\
# Demo catalogue and model

Everything here is **synthetic**. Titles, authors, users and events were drawn by a small program from words written for this project:
no clip exists, no person is meant, and no row of any data set went in. Every item says so in its attribute `synthetic`. Nobody else holds
rights in these data; use them as you like.

| file | content |
|---|---|
| `items.jsonl` | {clips:,} clips of {topics} topics by {authors} authors ({languages}), published {first} to {last} |
| `events.jsonl` | {events:,} events of {served_users} users: {personas_count} named ones and some numbered ones |
| `hidden_states.safetensors` | [{clips}, 7, 384] float16: every layer of a frozen sentence encoder over title and hashtags |
| `artifact/` | a model trained on {interactions:,} likes, shares and long views of {users:,} synthetic users |

The encoder is all-MiniLM-L6-v2; it stands in for a video language model, its layers averaged over tokens. The {cold} newest clips were
kept from training: the server can only place them by their hidden states. The user `{new_user}` is meant to have no events: it is shown the
fallback ranking.

## Reproduce

    {command}

from the folder `models`, with the package's extra `text` installed, writes all of it anew: the same bytes of `items.jsonl` and
`events.jsonl` everywhere, hidden states and weights up to the rounding of the machine. The command fails when a persona is shown too
little of what it watches.

## What the personas are shown

{personas}

{cold_summary}
"""


def render(facts: Facts) -> str:
    languages = Counter(clip.language for clip in facts.clips).most_common()
    return TEMPLATE.format(
        clips=len(facts.clips),
        topics=len({clip.topic for clip in facts.clips}),
        authors=len({clip.author.author_id for clip in facts.clips}),
        languages=", ".join(f"{language} {count}" for language, count in languages),
        first=f"{facts.clips[0].published:%Y-%m-%d}",
        last=f"{facts.clips[-1].published:%Y-%m-%d}",
        events=facts.events,
        served_users=facts.served_users,
        personas_count=len(PERSONAS),
        interactions=facts.interactions,
        users=facts.users,
        cold=facts.cold,
        new_user=NEW_USER,
        command=facts.command,
        personas=facts.personas,
        cold_summary=facts.cold_summary,
    )
