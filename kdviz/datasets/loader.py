"""Batches in an order that depends on the seed and the step alone, so that a run can resume."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, Subset, get_worker_info

from kdviz.structures import Target

Sample = tuple[Tensor, Target]

_ORDER, _AUGMENTATION = 1, 2  # keep the two families of random streams apart


class StepSampler(Sampler[list[tuple[int, int]]]):
    """The (epoch, index) pairs of each step from ``start_step`` to ``total_steps``.

    The epochs, each a permutation of the data set, form one endless stream that is cut into global
    batches of ``batch_size * world_size``, of which each rank takes its part. So a step is a pure
    function of (seed, step), no image is dropped or repeated inside an epoch, all ranks have the
    same number of batches, and the global batch does not depend on how many ranks share it. A batch
    may span the end of an epoch.

    Args:
        size: number of images, >= 1.
        batch_size: images a step of one rank, >= 1.
        seed: >= 0.
        start_step: first step to yield, 0 for a fresh run.
        total_steps: steps of the whole run.
        rank: which part of each global batch, in [0, world_size).
        world_size: number of processes that train together.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int,
        start_step: int,
        total_steps: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if size < 1 or batch_size < 1 or seed < 0:
            raise ValueError(
                f"size {size} and batch_size {batch_size} must be at least 1, "
                f"seed {seed} at least 0"
            )
        if not 0 <= start_step <= total_steps:
            raise ValueError(f"start_step {start_step} must lie in [0, total_steps {total_steps}]")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} must lie in [0, world_size {world_size})")
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        self.start_step = start_step
        self.total_steps = total_steps
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return self.total_steps - self.start_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = -1, []
        for step in range(self.start_step, self.total_steps):
            batch = []
            first = (step * self.world_size + self.rank) * self.batch_size
            for position in range(first, first + self.batch_size):
                if position // self.size != epoch:
                    epoch = position // self.size
                    generator = torch.Generator().manual_seed(_mix(self.seed, _ORDER, epoch))
                    order = torch.randperm(self.size, generator=generator).tolist()
                batch.append((epoch, order[position % self.size]))
            yield batch


class _SeededItems(Dataset[Sample]):
    """A data set asked by (epoch, index), whose augmentation depends on (seed, epoch, index)."""

    def __init__(self, dataset: Dataset[Sample], seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        epoch, index = key
        with seeded(_mix(self.seed, _AUGMENTATION, epoch, index)):
            return self.dataset[index]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch (CPU), Python and NumPy random numbers from ``seed`` inside, as before outside.

    Args:
        seed: in [0, 2**63).
    """
    state = random.getstate()
    legacy = np.random.get_state()  # noqa: NPY002  (what users' transforms draw from)
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reseed the GPUs too, which are not restored here.
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(state)
            np.random.set_state(legacy)  # noqa: NPY002


def train_loader(
    dataset: Dataset[Sample],
    batch_size: int,
    seed: int,
    start_step: int,
    total_steps: int,
    num_workers: int,
    rank: int = 0,
    world_size: int = 1,
    *,
    pin_memory: bool = False,
) -> DataLoader[Sample]:
    """Batches of steps ``start_step`` to ``total_steps``, one for each, through all epochs.

    A batch is (images, targets), two lists. Step k holds the same bits whatever ``start_step`` and
    ``num_workers`` are; the random state of the calling process is neither read nor changed.

    Args:
        dataset: with ``len`` and (image, target) items, such as a `DetectionDataset`.
        batch_size: images a step of this rank.
        seed: of order and augmentation, >= 0.
        start_step: steps already done.
        total_steps: steps of the whole run.
        num_workers: processes that decode; 0 decodes in this one.
        rank: which part of each global batch.
        world_size: number of processes that train together.
        pin_memory: put batches in page-locked memory, for copies to a GPU.

    Raises:
        ValueError: an argument is out of its range (see `StepSampler`).
    """
    size = len(dataset)  # type: ignore[arg-type]  # torch's Dataset promises no length
    sampler = StepSampler(size, batch_size, seed, start_step, total_steps, rank, world_size)
    return DataLoader(
        _SeededItems(dataset, seed),
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=num_workers,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # else the loader draws from the global one
    )


def eval_loader(
    dataset: Dataset[Sample],
    batch_size: int,
    num_workers: int,
    rank: int = 0,
    world_size: int = 1,
    *,
    pin_memory: bool = False,
) -> DataLoader[Sample]:
    """Every item once, in order; of several ranks each takes every ``world_size``-th.

    Workers live on between passes, since evaluation comes again and again.
    """
    size = len(dataset)  # type: ignore[arg-type]
    return DataLoader(
        Subset(dataset, range(rank, size, world_size)),
        batch_size=batch_size,
        collate_fn=collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        generator=torch.Generator(),
    )


def collate(samples: Sequence[Sample]) -> tuple[list[Tensor], list[Target]]:
    """Samples as a list of images and a list of targets."""
    images = [image for image, _ in samples]
    targets = [target for _, target in samples]
    if get_worker_info() is None:
        return images, targets
    # A worker passes each storage through an open file. Seven a sample are slow and exhaust the
    # usual limit of 1024 at a batch of 64, so a batch travels as one storage per type.
    keys = [(k, key) for k, target in enumerate(targets) for key in target]
    packed = _pack([targets[k][key] for k, key in keys])
    for (k, key), value in zip(keys, packed, strict=True):
        targets[k][key] = value
    return _pack(images), targets


def _pack(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Equal tensors, those of one type as views of one storage."""
    packed = list(tensors)
    for dtype in {tensor.dtype for tensor in tensors}:
        chosen = [k for k, tensor in enumerate(tensors) if tensor.dtype == dtype]
        flat = torch.cat([tensors[k].reshape(-1) for k in chosen])
        for k, part in zip(chosen, flat.split([tensors[k].numel() for k in chosen]), strict=True):
            packed[k] = part.view(tensors[k].shape)
    return packed


def _mix(*numbers: int) -> int:
    """One seed in [0, 2**63) from several numbers >= 0."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
