"""The runs of a matrix over Dask's workers: on this machine, or on many that share a file system.

Dask only says where a run goes. Whether it is done is read from its folder, as the local engine
does, so that losing a worker, the scheduler or this driver loses no more than the steps since the
last checkpoint, and a run that two workers were given is done by one.

Many machines: ``dask scheduler`` on one, ``dask worker tcp://HOST:8786 --nthreads 1`` on each, with
``CUDA_VISIBLE_DEVICES`` and ``--resources GPU=1`` where there is a GPU, all started in the same
folder; then ``kdviz matrix run M.yaml --scheduler tcp://HOST:8786``.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distributed import Client, Event, Future, Nanny, Scheduler, SpecCluster

from kdviz.runs.matrix.attempts import record_death
from kdviz.runs.matrix.dask_task import run_cell
from kdviz.runs.matrix.slots import slots_for, threads_of
from kdviz.runs.matrix.spec import MatrixSpec
from kdviz.runs.matrix.state import CellState, lay_out, states

GPU = "GPU"
"""Name of the resource that Dask's workers with a GPU declare."""

_PATIENCE = 60.0  # seconds without a scheduler before the driver gives up
_LOOK = 0.5  # seconds from one look at the tasks that are asked to end to the next


@dataclass(frozen=True)
class _Given:
    future: Future
    attempts_before: int


def execute(
    matrix: MatrixSpec,
    root: Path = Path("runs"),
    *,
    scheduler: str | None = None,
    slots: int | None = None,
    poll: float = 0.5,
) -> Generator[list[CellState], None, None]:
    """Run what is not done on Dask's workers, and tell again and again how far everything is.

    A run that fails is not tried again: `retry` first. When the iterator is closed, the runs in
    work are asked to stop; each writes its checkpoint first.

    Args:
        matrix: the runs, in the order of `kdviz.runs.matrix.spec.cells`.
        root: folder of all matrices, the same for driver and workers.
        scheduler: ``tcp://HOST:PORT``; None starts a cluster of this machine, a worker for each
            slot, and ends it afterwards.
        slots: workers of that cluster; None as `machine_slots` counts.
        poll: seconds from one look to the next.

    Yields:
        One state for each run; the last list holds only ``done`` and ``failed``.

    Raises:
        OSError: no scheduler answers there, or not any more.
        ValueError: a run takes more devices than one worker has.
    """
    home = lay_out(matrix, root).resolve()
    here = str(Path.cwd())
    token = f"kdviz-stop-{uuid.uuid4().hex[:8]}"
    with _connected(matrix, scheduler, slots) as client:
        given: dict[Path, _Given] = {}
        try:
            while True:
                if client.status != "running":
                    raise OSError(_lost(scheduler))
                known = states(matrix, root)
                for state in known:
                    work = given.get(state.folder)
                    if work is not None and work.future.done():
                        _settle(given.pop(state.folder), state)
                    elif work is None and state.status == "waiting":
                        future = client.submit(
                            run_cell,
                            str(home / state.folder.name),
                            here,
                            token,
                            key=f"{state.folder.name}-{uuid.uuid4().hex[:8]}",
                            pure=False,
                            resources=_resources(client, state),
                            retries=0,
                        )
                        given[state.folder] = _Given(future, state.attempts)
                yield [_seen(state, given) for state in known]
                if not given and all(state.status in ("done", "failed") for state in known):
                    return
                time.sleep(poll)
        finally:
            with suppress(Exception):  # nobody to tell, if the scheduler is gone
                Event(token, client=client).set()
                _wait([work.future for work in given.values()])


@contextmanager
def _connected(matrix: MatrixSpec, scheduler: str | None, slots: int | None) -> Iterator[Client]:
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=10, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise OSError(
                f"no Dask scheduler answers at {scheduler} ({error}); start one with 'dask "
                "scheduler', or leave out --scheduler"
            ) from None
        with client:
            yield client
        return
    places = slots_for(matrix, slots)
    most = max(len(place.split(",")) for place in places)
    if any(cell.cell.spec.train.devices > most for cell in states(matrix)):
        raise ValueError(
            "a run on several devices needs a Dask worker that has them (--resources GPU=2); the "
            "cluster of this machine has one in each worker. Take --engine local"
        )
    with _cluster(places) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


def _cluster(places: list[str]) -> SpecCluster:
    """A worker for each place of this machine, each with its own GPU."""
    threads = os.environ.get("OMP_NUM_THREADS", str(threads_of(places)))
    workers = {
        number: {
            "cls": Nanny,
            "options": {
                "nthreads": 1,
                "env": {"CUDA_VISIBLE_DEVICES": place, "OMP_NUM_THREADS": threads},
                "resources": {GPU: 1} if place else {},
                "dashboard": False,
            },
        }
        for number, place in enumerate(places)
    }
    options: dict[str, Any] = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": None}
    return SpecCluster(workers=workers, scheduler={"cls": Scheduler, "options": options})


def _settle(work: _Given, state: CellState) -> None:
    """Its folder says how a run went, but where Dask could not even start it."""
    if work.future.status == "error":
        record_death(state.folder, f"Dask: {work.future.exception()!r}", work.attempts_before)


def _resources(client: Client, state: CellState) -> dict[str, float] | None:
    """What a worker must have for a run: as many GPUs as it trains on, where there are any."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if state.cell.spec.train.accelerator == "cpu" or not any(
        GPU in x["resources"] for x in workers
    ):
        return None
    return {GPU: float(state.cell.spec.train.devices)}


def _seen(state: CellState, given: dict[Path, _Given]) -> CellState:
    """A run that Dask has counts as in work, even where its worker has not come to its lock yet."""
    is_given = state.folder in given and state.status == "waiting"
    return replace(state, status="running") if is_given else state


def _wait(futures: list[Future]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while any(not future.done() for future in futures) and time.monotonic() < deadline:
        time.sleep(_LOOK)


def _lost(scheduler: str | None) -> str:
    where = "the Dask scheduler of this machine" if scheduler is None else f"the one at {scheduler}"
    return (
        f"{where} is gone; its runs have written their checkpoints. Start one and give the same "
        "command again: what is done stays done"
    )
