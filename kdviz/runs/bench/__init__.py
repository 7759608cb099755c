"""Speed as ratios measured in one run, one file for each question: ``make bench``.

Absolute times say more about a machine than about code, so each number here is a time beside
another one taken in the same minutes: a step with a method beside the step and the teacher's
forward it cannot do without, masks beside the loop that they replace. Functions that are compared
take turns, and a ratio is taken inside each round.
"""
