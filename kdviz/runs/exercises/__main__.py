"""``python -m kdviz.runs.exercises learner.ipynb``: the scores of notebooks."""

import sys

from kdviz.runs.exercises.grading import main

if __name__ == "__main__":
    main(sys.argv[1:])
