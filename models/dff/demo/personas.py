"""The named users of the demo: people to look at in the console. `new-user` is meant to have no events at all."""

from dataclasses import dataclass

NEW_USER = "new-user"


@dataclass(frozen=True)
class Persona:
    user_id: str
    topics: tuple[str, ...]


PERSONAS = (
    Persona("cooking-fan", ("cooking",)),
    Persona("traveller", ("travel",)),
    Persona("pet-lover", ("pets",)),
    Persona("gamer", ("gaming",)),
    Persona("football-fan", ("football",)),
    Persona("gym-regular", ("fitness",)),
    Persona("makeup-lover", ("makeup",)),
    Persona("musician", ("music",)),
    Persona("dancer", ("dance",)),
    Persona("handyperson", ("diy",)),
    Persona("gardener", ("gardening",)),
    Persona("science-lover", ("science",)),
    Persona("comedy-fan", ("comedy",)),
    Persona("car-enthusiast", ("cars",)),
    Persona("hungry-traveller", ("cooking", "travel")),
    Persona("weekend-maker", ("diy", "gardening")),
    Persona("night-owl", ("gaming", "comedy")),
)
