from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset
from torchvision.transforms import v2

from kdviz.datasets.loader import StepSampler, collate, eval_loader, seeded, train_loader


class Noisy(Dataset):
    """Eight images of unlike sizes; augmentation draws from torch, Python and NumPy."""

    def __init__(self, count=8):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(3, 16 + index, 20, generator=generator)
        image = v2.RandomPhotometricDistort(p=1.0)(image)
        noise = [random.random(), np.random.random(), torch.rand(()).item()]  # noqa: NPY002
        boxes = torch.arange(index * 4.0).reshape(index, 4)
        labels = torch.ones(index, dtype=torch.int64)
        target = {"image_id": torch.tensor(index), "boxes": boxes, "labels": labels}
        return image, {**target, "noise": torch.tensor(noise, dtype=torch.float64)}


def assert_equal_batches(left, right):
    left, right = list(left), list(right)
    assert len(left) == len(right)
    for (images, targets), (others, other_targets) in zip(left, right, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(images, others, strict=True))
        for target, other in zip(targets, other_targets, strict=True):
            assert target.keys() == other.keys()
            for key in target:
                assert target[key].dtype == other[key].dtype
                assert torch.equal(target[key], other[key])


def image_ids(batches):
    return [int(target["image_id"]) for _, targets in batches for target in targets]


def test_resume_in_the_middle_of_an_epoch_is_bit_exact_for_any_number_of_workers():
    whole = list(train_loader(Noisy(), 3, 5, 0, 12, num_workers=0))
    assert len(whole) == 12
    assert_equal_batches(whole[7:], train_loader(Noisy(), 3, 5, 7, 12, num_workers=0))
    assert_equal_batches(whole[7:], train_loader(Noisy(), 3, 5, 7, 12, num_workers=2))


def test_epochs_hold_every_image_once_and_differ_in_order_and_augmentation():
    batches = list(train_loader(Noisy(), 2, 0, 0, 8, num_workers=0))
    first, second = image_ids(batches[:4]), image_ids(batches[4:])
    assert sorted(first) == sorted(second) == list(range(8))
    assert first != second
    noise = {tuple(x["noise"].tolist()) for _, targets in batches for x in targets}
    assert len(noise) == 16


def test_another_seed_gives_another_order_and_other_augmentation():
    one, other = (next(iter(train_loader(Noisy(), 8, s, 0, 1, num_workers=0))) for s in (0, 1))
    assert image_ids([one]) != image_ids([other])
    of_image = {int(t["image_id"]): t["noise"] for t in one[1]}
    assert not any(torch.equal(of_image[int(t["image_id"])], t["noise"]) for t in other[1])


def test_augmentation_does_not_depend_on_batch_size_or_place_in_the_batch():
    by_image = []
    for batch_size in (2, 8):
        batches = train_loader(Noisy(), batch_size, 0, 0, 8 // batch_size, num_workers=0)
        targets = [target for _, batch in batches for target in batch]
        by_image.append({int(t["image_id"]): t["noise"].tolist() for t in targets})
    assert by_image[0] == by_image[1]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_random_state_of_the_caller_is_neither_read_nor_changed(num_workers):
    def state():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = state()
    first = list(train_loader(Noisy(), 4, 0, 0, 2, num_workers))
    list(eval_loader(Noisy(0), 4, num_workers))
    assert state() == before
    with seeded(11):
        assert state() != before
        second = list(train_loader(Noisy(), 4, 0, 0, 2, num_workers))
    assert state() == before
    assert_equal_batches(first, second)


def test_state_comes_back_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="inside"), seeded(3):
        raise RuntimeError("inside")
    assert torch.equal(torch.get_rng_state(), before)


def test_ranks_are_disjoint_and_together_make_the_batches_of_one_process():
    alone = list(StepSampler(11, 6, 0, 2, 9))
    ranks = [list(StepSampler(11, 2, 0, 2, 9, rank, 3)) for rank in range(3)]
    assert [len(batches) for batches in ranks] == [7, 7, 7]
    for step, whole in enumerate(alone):
        parts = [key for batches in ranks for key in batches[step]]
        assert parts == whole
        assert len(set(parts)) == 6


def test_stream_drops_nothing_when_the_size_is_no_multiple_of_the_batch():
    keys = [key for batch in StepSampler(5, 3, 0, 0, 5) for key in batch]
    assert sorted(keys) == [(epoch, index) for epoch in range(3) for index in range(5)]


def test_batch_may_be_larger_than_the_data_set():
    batch = next(iter(StepSampler(2, 5, 0, 0, 1)))
    assert Counter(epoch for epoch, _ in batch) == {0: 2, 1: 2, 2: 1}


def test_orders_of_epochs_are_uniform():
    # 600 epochs of 3 images: each of the 6 orders is expected 100 times, sd 9.
    keys = [key[1] for batch in StepSampler(3, 3, 0, 0, 600) for key in batch]
    orders = Counter(tuple(keys[k : k + 3]) for k in range(0, len(keys), 3))
    assert len(orders) == 6
    assert all(60 < count < 140 for count in orders.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 0, 0, 1), "size 0"),
        ((4, 0, 0, 0, 1), "batch_size 0"),
        ((4, 1, -1, 0, 1), "seed -1"),
        ((4, 1, 0, 3, 2), "start_step 3"),
        ((4, 1, 0, 0, 2, 2, 2), "rank 2"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        StepSampler(*arguments)


def test_finished_run_yields_nothing():
    assert list(train_loader(Noisy(), 2, 0, 4, 4, num_workers=0)) == []


@pytest.mark.parametrize("num_workers", [0, 1])
def test_evaluation_is_in_order_and_repeats(num_workers):
    loader = eval_loader(Noisy(), 3, num_workers)
    for _ in range(2):
        assert image_ids(loader) == list(range(8))


def test_evaluation_ranks_share_the_images():
    loaders = [eval_loader(Noisy(), 3, 0, rank, 3) for rank in range(3)]
    assert sorted(key for loader in loaders for key in image_ids(loader)) == list(range(8))


def test_batch_travels_in_few_storages():
    images, targets = next(iter(train_loader(Noisy(), 6, 0, 0, 1, num_workers=1)))
    tensors = [*images, *(value for target in targets for value in target.values())]
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == 4
    assert (
        images[0].untyped_storage().data_ptr() != targets[0]["boxes"].untyped_storage().data_ptr()
    )


def test_collate_in_one_process_copies_nothing():
    samples = [Noisy()[1], Noisy()[2]]
    images, targets = collate(samples)
    assert images[1] is samples[1][0]
    assert targets[0] is samples[0][1]
