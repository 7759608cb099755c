"""Claims of the papers as files, put to the test by the runs of a matrix."""

from kdviz.runs.claims.claim import Claim, load_claims
from kdviz.runs.claims.evidence import Evidence, Ruling, Verdict
from kdviz.runs.claims.judge import judge
from kdviz.runs.claims.page import summary, verdict_markdown, verdict_page, verdict_section
from kdviz.runs.claims.records import Measured
from kdviz.runs.claims.write import matrix_rulings, write_verdicts

__all__ = [
    "Claim",
    "Evidence",
    "Measured",
    "Ruling",
    "Verdict",
    "judge",
    "load_claims",
    "matrix_rulings",
    "summary",
    "verdict_markdown",
    "verdict_page",
    "verdict_section",
    "write_verdicts",
]
