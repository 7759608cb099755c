"""Counted work against counts by hand."""

import pytest
import torch
from torch import nn

from kdviz.runs.bench.counting import count_work, peak_bytes
from kdviz.runs.bench.kinds import KINDS, REST, kind_of, time_by_kind
from kdviz.runs.bench.masks import masks
from kdviz.runs.bench.workload import workload


def test_a_convolution_by_hand():
    layer, images = nn.Conv2d(4, 6, 3, padding=1, bias=False), torch.rand(2, 4, 5, 7)
    with torch.no_grad():
        work = count_work(lambda: layer(images))
    assert work.flops == 2 * 9 * 4 * 6 * 5 * 7 * 2
    moved = 4 * (images.numel() + layer.weight.numel() + 2 * 6 * 5 * 7)
    assert work.bytes == moved
    assert work.operations == 1
    assert work.intensity == pytest.approx(work.flops / moved)


def test_a_training_step_takes_three_times_a_forward_pass():
    layer = nn.Conv2d(4, 6, 3, padding=1)
    images = torch.rand(2, 4, 5, 7, requires_grad=True)
    forward = count_work(lambda: layer(images)).flops
    assert count_work(lambda: layer(images).sum().backward()).flops == 3 * forward


def test_views_move_nothing_and_sums_of_values_do():
    values = torch.zeros(10, 10)
    assert count_work(lambda: values.t()[2:].unsqueeze(0)).bytes == 0
    assert count_work(lambda: values + values).bytes == 4 * 300
    assert count_work(lambda: torch.stack([values, values])).bytes == 4 * 400


def test_memory_at_a_time_by_hand():
    def three_of_which_two_live_together():
        values = torch.zeros(1000, 250)
        more = values + 1
        del values
        return more * 2

    assert peak_bytes(three_of_which_two_live_together) == pytest.approx(2e6, rel=1e-3)
    assert peak_bytes(lambda: None) == 0


def test_masks_of_a_hundred_boxes_stay_small():
    found = masks(workload("cpu"), limit=0)
    all_overlaps = 100 * (100 * 167 * 9) * 4 / 2**20  # of each box with each anchor
    assert 1 < found["extra_megabytes"] < all_overlaps / 5


@pytest.mark.parametrize(
    ("function", "waits"),
    [
        (lambda x: x.sum().item(), 1),
        (lambda x: x[x > 1], 1),
        (lambda x: x[torch.tensor([0, 2])], 0),
        (lambda x: x.clone().index_put_([x > 0], torch.zeros(3)), 1),
        (lambda x: x.clone().index_put_([x > 0], torch.tensor(0.0)), 0),
        (lambda x: torch.nonzero(x), 1),
        (lambda x: float(x.max()) + float(x.min()), 2),
        (lambda x: torch.where(x > 1, x, 0).sum(), 0),
    ],
)
def test_what_a_gpu_is_waited_for(function, waits):
    assert count_work(lambda: function(torch.ones(3))).waits == waits


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("aten::mkldnn_convolution", "convolution"),
        ("aten::addmm", "convolution"),
        ("aten::native_batch_norm_backward", "normalisation"),
        ("aten::max_pool2d_with_indices", "resizing"),
        ("aten::topk", "choosing"),
        ("aten::index_put_", "choosing"),
        ("aten::max", "choosing"),
        ("aten::clamp_min", "arithmetic"),
        ("aten::mul", "arithmetic"),
        ("aten::add_", "arithmetic"),
        ("aten::cat", "copies"),
        ("aten::copy_", "copies"),
        ("torchvision::nms", "choosing"),
    ],
)
def test_kind_of_an_operation(operation, kind):
    assert kind_of(operation) == kind


def test_shares_of_time_sum_to_one_and_name_what_is_slow():
    a, b = torch.rand(2, 400, 400)
    shares = time_by_kind(lambda: a @ b @ a @ b)
    assert list(shares) == [*KINDS, REST]
    assert sum(shares.values()) == pytest.approx(1, abs=0.02)
    assert max(list(KINDS), key=shares.get) == "convolution"
