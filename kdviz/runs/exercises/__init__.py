"""Exercises of `90_exercises`: hidden cases, pictures, scores.

``python -m kdviz.runs.exercises learner.ipynb`` grades notebooks.
"""

from kdviz.runs.exercises.checking import EXERCISES as EXERCISES
from kdviz.runs.exercises.checking import Verdict as Verdict
from kdviz.runs.exercises.checking import check as check
from kdviz.runs.exercises.grading import grade as grade
from kdviz.runs.exercises.pictures import overview as overview
from kdviz.runs.exercises.pictures import show as show
from kdviz.runs.exercises.stage import Stage as Stage
from kdviz.runs.exercises.stage import open_stage as open_stage
