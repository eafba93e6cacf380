"""Facts that a model of English text is likely to know, in relations with three phrasings each.

Written here. Every phrasing ends where the object follows; the first is the original.
"""

import random
from collections.abc import Mapping
from typing import Any

from caploc.records import Fact
from caploc.samples.fact_set import FactSet, Reading

__all__ = ["FACTS"]

_PHRASINGS = {
    "capital": (
        "The capital of {} is the city of", "The capital city of {} is called",
        "The government of {} sits in its capital,",
    ),
    "language": (
        "The official language of {} is", "People who live in {} mostly speak",
        "Newspapers in {} are printed in",
    ),
    "continent": (
        "{} is a country on the continent of", "On a map of the world, {} lies in",
        "The continent to which {} belongs is",
    ),
    "maker": (
        "The {} is a product of the company", "The company that makes the {} is",
        "The {} was developed by",
    ),
    "author": (
        "The author of {} is the writer", "{} was written by", "The writer of {} was called",
    ),
    "currency": (
        "In {} people pay with the", "The currency of {} is the",
        "A shop in {} takes your money in the",
    ),
    "opposite": ("The opposite of {} is", "If something is not {}, it is", "{} is the contrary of"),
    "young": (
        "The young of a {} is called a", "A baby {} is known as a",
        "A {} that has just been born is a",
    ),
}  # fmt: skip
_OBJECTS = {
    "capital": """
        France: Paris, Germany: Berlin, Italy: Rome, Spain: Madrid, Portugal: Lisbon, Greece:
        Athens, Austria: Vienna, Poland: Warsaw, Hungary: Budapest, Norway: Oslo, Sweden:
        Stockholm, Finland: Helsinki, Denmark: Copenhagen, Ireland: Dublin, Russia: Moscow, Japan:
        Tokyo, China: Beijing, Thailand: Bangkok, Egypt: Cairo, Kenya: Nairobi, Cuba: Havana,
        Peru: Lima, Canada: Ottawa, Australia: Canberra, Iran: Tehran, Iraq: Baghdad, Turkey:
        Ankara, England: London, Belgium: Brussels, India: Delhi, Chile: Santiago, Lebanon: Beirut
    """,
    "language": """
        France: French, Germany: German, Italy: Italian, Spain: Spanish, Portugal: Portuguese,
        Greece: Greek, Poland: Polish, Sweden: Swedish, Russia: Russian, Japan: Japanese, China:
        Chinese, Brazil: Portuguese, Mexico: Spanish, Argentina: Spanish, Egypt: Arabic, Iraq:
        Arabic, Turkey: Turkish, Iran: Persian, Hungary: Hungarian, England: English, Australia:
        English, Vietnam: Vietnamese, Korea: Korean, Thailand: Thai, Austria: German, Cuba:
        Spanish
    """,
    "continent": """
        France: Europe, Germany: Europe, Poland: Europe, Sweden: Europe, Italy: Europe, Japan:
        Asia, China: Asia, India: Asia, Thailand: Asia, Vietnam: Asia, Nepal: Asia, Egypt: Africa,
        Kenya: Africa, Nigeria: Africa, Ghana: Africa, Ethiopia: Africa, Morocco: Africa, Uganda:
        Africa, Peru: South, Chile: South, Brazil: South, Argentina: South, Canada: North, Mexico:
        North
    """,
    "maker": """
        iPhone: Apple, iPad: Apple, MacBook: Apple, PlayStation: Sony, Walkman: Sony, Xbox:
        Microsoft, Windows operating system: Microsoft, Game Boy: Nintendo, Wii: Nintendo, Kindle:
        Amazon, Galaxy phone: Samsung, Corolla: Toyota, Prius: Toyota, Civic: Honda, Mustang:
        Ford, Model T: Ford, Boeing 747: Boeing, ThinkPad: Lenovo, Golf car: Volkswagen, Android
        system: Google
    """,
    "author": """
        Hamlet: William Shakespeare, Oliver Twist: Charles Dickens, Emma: Jane Austen, Macbeth:
        William Shakespeare, Romeo and Juliet: William Shakespeare, A Christmas Carol: Charles
        Dickens, Pride and Prejudice: Jane Austen, War and Peace: Leo Tolstoy, Anna Karenina: Leo
        Tolstoy, Animal Farm: George Orwell, Moby-Dick: Herman Melville, Frankenstein: Mary
        Shelley, Dracula: Bram Stoker, The Odyssey: Homer, The Iliad: Homer, Don Quixote: Miguel
        de Cervantes, The Origin of Species: Charles Darwin, Alice in Wonderland: Lewis Carroll,
        The Jungle Book: Rudyard Kipling, Treasure Island: Robert Louis Stevenson
    """,
    "currency": """
        Japan: yen, Mexico: peso, India: rupee, China: yuan, Russia: ruble, England: pound,
        Germany: euro, France: euro, Italy: euro, Spain: euro, Canada: dollar, Australia: dollar,
        Turkey: lira, Thailand: baht, Korea: won, Argentina: peso, Chile: peso, Pakistan: rupee,
        Nepal: rupee, Egypt: pound, Iraq: dinar, Brazil: real, Sweden: krona, Nigeria: naira
    """,
    "opposite": """
        hot: cold, big: small, open: closed, good: bad, high: low, long: short, old: young, up:
        down, left: right, black: white, day: night, strong: weak, rich: poor, fast: slow, hard:
        soft, wet: dry, full: empty, light: dark, north: south, east: west, true: false, male:
        female, positive: negative, inside: outside, above: below, before: after, early: late,
        happy: sad, clean: dirty, alive: dead
    """,
    "young": """
        dog: puppy, cat: kitten, cow: calf, sheep: lamb, horse: foal, duck: duckling, bear: cub,
        lion: cub, deer: fawn, goat: kid, hen: chick, pig: piglet, kangaroo: joey, frog: tadpole,
        whale: calf, wolf: cub
    """,
}  # fmt: skip


_SHOWN = 2
"""Facts of the relation that stand in front of a question, in the same phrasing."""


def _read(settings: Mapping[str, Any]) -> Reading:
    facts = []
    for relation, text in _OBJECTS.items():
        pairs = dict(pair.strip().split(": ") for pair in " ".join(text.split()).split(","))
        asked = {s: [_asked(t, s, pairs) for t in _PHRASINGS[relation]] for s in pairs}
        for subject, answer in pairs.items():
            same = [s for s, o in pairs.items() if o == answer and s != subject]
            others = sorted({o for o in pairs.values() if o != answer})
            facts.append(
                Fact(
                    f"{relation}-{subject}",
                    subject,
                    relation,
                    answer,
                    tuple(asked[subject]),
                    neighbourhood=tuple(asked[s][0] for s in same),
                    new_object=random.Random(f"new object {subject}").choice(others),
                )
            )
    return Reading(list(facts))


def _asked(template: str, subject: str, pairs: Mapping[str, str]) -> str:
    """A question behind two facts of its relation, so that a model knows what is asked for."""
    shown = [s for s in list(pairs)[: _SHOWN + 1] if s != subject][:_SHOWN]
    told = [f"{template.format(s)} {pairs[s]}." for s in shown]
    return " ".join([*told, template.format(subject)])


FACTS = FactSet("Well-known facts", _read)
