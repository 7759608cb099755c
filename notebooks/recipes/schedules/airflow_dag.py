"""Every week on Airflow: the student alone, and the student with each method, one after the other.

Airflow has its own environment, with `apache-airflow-providers-papermill`; the runs have theirs,
which is known to it as a Jupyter kernel. In the environment of kdviz, once:

    python -m ipykernel install --user --name kdviz

Put this file into Airflow's folder of DAGs and set KDVIZ to the folder of the repository. Each week
has a folder of its own, so its runs are trained anew; a task that is tried again goes on from the
last checkpoint of its run. Seen to run with Airflow 3.3 and version 3.13 of the provider.
"""

import os
from datetime import datetime
from pathlib import Path

from airflow.providers.papermill.operators.papermill import PapermillOperator
from airflow.sdk import DAG

HOME = Path(os.environ.get("KDVIZ", "/srv/kdviz"))
RUNS = HOME / "runs" / "weekly"


def enter(_: object) -> None:
    """Start a task's kernel where the paths in recipes begin."""
    RUNS.mkdir(parents=True, exist_ok=True)
    os.chdir(HOME)


with DAG(
    "kdviz_scenes",
    start_date=datetime(2026, 1, 1),
    schedule="@weekly",
    catchup=False,
    max_active_tasks=1,
    default_args={"retries": 2},
):
    for recipe in ("student", "fgfi", "gkd"):
        PapermillOperator(
            task_id=recipe,
            input_nb=str(HOME / "notebooks" / "65_reproduce.ipynb"),
            output_nb=str(RUNS / f"{recipe}-{{{{ ds }}}}.ipynb"),
            parameters={
                "spec": str(HOME / "notebooks" / "recipes" / "scenes" / f"{recipe}.yaml"),
                "root": str(RUNS / "{{ ds }}"),
            },
            kernel_name="kdviz",
            language_name="python",
            pre_execute=enter,
        )
