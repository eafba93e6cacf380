"""Models in which it is known which neurons carry which capability, and how well they are found.

A model is trained so that the FFN weights of a chosen set of neurons learn one capability alone and
those of all other neurons never learn it (`_layout`, `_routing`, `_training`); decoys are put
beside them (`_decoys`). A surgery check says whether that worked (`_surgery`), and locators are
scored against the truth (`_ranking`). ``docs/known-answer.md`` explains it with its numbers.
"""
