"""One run as a job of jupyter-scheduler, asked for through the server's REST interface.

    pip install jupyter-scheduler        # beside JupyterLab and kdviz, then restart JupyterLab
    python notebooks/recipes/schedules/jupyter_job.py http://localhost:8888 TOKEN RUN.yaml

JupyterLab's right mouse button on `65_reproduce` has the same under "Create Notebook Job". A job
runs in a folder of its own, so its parameters are whole paths.
"""

import json
import sys
from pathlib import Path
from urllib.request import Request, urlopen

HOME = Path(__file__).resolve().parents[3]


def job(spec: Path) -> dict[str, object]:
    """The body of the request; ``schedule`` may be added to it (``"0 2 * * *"``)."""
    return {
        "name": spec.stem,
        "input_uri": "notebooks/65_reproduce.ipynb",  # from the folder that JupyterLab serves
        "runtime_environment_name": "",
        "output_formats": ["ipynb"],
        # Put into the notebook as they are, so a text comes with its quotes.
        "parameters": {"spec": repr(str(spec.resolve())), "root": repr(str(HOME / "runs"))},
    }


if __name__ == "__main__":
    server, token, spec = sys.argv[1:]
    request = Request(
        f"{server}/scheduler/jobs",
        data=json.dumps(job(Path(spec))).encode(),
        headers={"Authorization": f"token {token}", "Content-Type": "application/json"},
    )
    with urlopen(request) as answer:
        print(json.load(answer)["job_id"])
