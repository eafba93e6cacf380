"""The sentiment of short opinions: every judging word occurs in one sample only.

One sample (prompt, then answer)::

    The soup was delicious. -> positive
    ...
    The film was dreadful. ->
     negative
"""

import random

from caploc.samples.scoring import same_first_word
from caploc.tasks._few_shot import few_shot_task

__all__ = ["TASK"]

_POSITIVE = """
accurate admirable adorable affordable amazing amusing appealing appetizing astonishing attractive
authentic awesome balanced beautiful beneficial brave breathtaking bright brilliant calming
captivating charming cheerful clean clever comfortable comforting compelling convenient convincing
cozy crisp dazzling delicious delightful dependable easy effective efficient elegant enchanting
encouraging energetic engaging enjoyable entertaining enthralling excellent exceptional exciting
exquisite extraordinary fabulous fair fantastic fascinating fast flawless flavorful fresh friendly
fun funny generous gentle genuine gifted glorious good gorgeous graceful gracious great gripping
handy harmonious healthy heartwarming helpful hilarious honest hospitable ideal imaginative
immaculate impressive incredible innovative inspiring intelligent interesting inviting joyful kind
likable lively lovely luxurious magical magnificent marvelous masterful memorable moving neat nice
nourishing outstanding passionate peaceful perfect phenomenal pleasant pleasing polished polite
powerful practical precise pretty professional prompt radiant refreshing relaxing reliable
remarkable rewarding rich robust romantic safe satisfying sensational skillful smart smooth
soothing spacious spectacular splendid spotless stunning stylish sublime successful superb
superior supportive surprising sweet talented tasty tender terrific thoughtful thrilling tidy
touching tremendous trustworthy uplifting useful vibrant warm welcoming wise witty wonderful
worthy
""".split()
_NEGATIVE = """
abysmal aggressive annoying appalling arrogant atrocious average awful awkward bad bitter bland
boring broken burnt careless chaotic cheap childish clumsy cold confusing contrived cramped creepy
cruel crude damaged dangerous dated defective depressing dirty disappointing disastrous
disgraceful disgusting dishonest dismal disorganized disrespectful distasteful disturbing dreadful
dreary dry dull dumb embarrassing empty exhausting expensive faulty filthy flat flawed flimsy
foolish forgettable foul frustrating fuzzy gloomy greasy grim gross harmful harsh hateful hideous
hollow hopeless horrendous horrible horrid hostile humiliating idiotic ignorant impolite
inaccurate inadequate incoherent incompetent inconsistent inconvenient inedible inferior insulting
irritating lame lazy lifeless loud lousy mediocre messy miserable misleading moldy monotonous
nasty nauseating noisy obnoxious obscene odd offensive ordinary outdated overcooked overpriced
overrated painful pathetic pitiful pointless poor predictable pretentious puzzling ridiculous
rotten rough rude ruined sad scary selfish senseless shabby shallow shameful shoddy sickening
silly slow sloppy smelly soggy sour stale sticky stressful stupid tasteless tedious terrible
tiresome tough toxic tragic ugly unacceptable unbearable uncomfortable unconvincing unfair
unfriendly unhappy unhelpful unimpressive uninspired unpleasant unreliable unsafe upsetting
useless vague vile violent vulgar wasteful weak weird worthless wretched wrong
""".split()
_THINGS = (
    "film", "soup", "service", "hotel", "book", "concert", "waiter", "room", "show", "meal",
    "party", "speech", "trip", "song", "teacher", "match", "coffee", "play", "garden", "jacket",
)  # fmt: skip


def _pairs() -> list[tuple[str, str]]:
    rng = random.Random("opinions")
    judged = [(word, "positive") for word in _POSITIVE] + [(word, "negative") for word in _NEGATIVE]
    return [(f"The {rng.choice(_THINGS)} was {word}.", label) for word, label in judged]


TASK = few_shot_task(
    "Opinions",
    "language",
    _pairs,
    score=same_first_word,
    labels=("negative", "positive"),
    form="label",
)
