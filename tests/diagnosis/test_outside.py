"""Evidence outside boxes: maps with a known mass here and there."""

import numpy as np
import pytest
import torch

from kdviz.diagnosis.outside import at_equal, evidence_outside
from kdviz.structures import Level, Pyramid

# Of a box from 16 to 48 on stride 8, points at 24, 32, 40 lie inside, and the ring, grown to
# 0 .. 64, holds those at 8 .. 56 beyond them.
BOX = [16.0, 16, 48, 48]


def fine(values):
    return Pyramid((Level("p3", 8, values), Level("p4", 16, torch.ones(len(values), 1, 8, 8))))


def share(values, *boxes, offset=0.0):
    return evidence_outside(fine(values[None, None]), [torch.tensor(boxes)], offset)


def test_an_even_map_gives_the_share_of_the_ring():
    assert share(torch.ones(16, 16), BOX).tolist() == pytest.approx([(49 - 9) / 49])


def test_mass_in_box_and_ring():
    values = torch.zeros(16, 16)
    values[4, 3] = 3.0  # point (24, 32): inside
    assert share(values, BOX).item() == 0
    values[1, 6] = 1.0  # point (48, 8): in the ring
    assert share(values, BOX).item() == pytest.approx(0.25)
    values[0, 6] = values[6, 8] = 100.0  # points (48, 0) and (64, 48): beyond the ring
    assert share(values, BOX).item() == pytest.approx(0.25)


def test_the_ring_is_not_turned():
    values = torch.zeros(16, 16)
    values[2, 4] = values[2, 7] = 1.0  # points (32, 16) and (56, 16)
    wide = [16.0, 16, 48, 24]
    # Grown to 0 .. 64 by 12 .. 28: both lie in the ring, on the upper edge and beside it.
    assert share(values, wide).item() == 1.0
    tall = [16.0, 8, 24, 40]
    # Grown to 12 .. 28 by -8 .. 56: neither is near.
    assert torch.isnan(share(values, tall)).item()


def test_what_lies_in_a_neighbours_box_is_the_neighbours():
    values = torch.zeros(16, 16)
    values[4, 4] = 1.0
    values[4, 7] = 1.0  # point (56, 32)
    assert share(values, BOX).item() == 0.5
    assert share(values, BOX, [50.0, 20, 70, 40]).tolist() == [0.0, 0.0]


def test_points_in_the_middle_of_cells():
    values = torch.zeros(16, 16)
    values[3, 5] = 1.0  # point (40, 24) at the corner, (44, 28) in the middle
    values[3, 6] = 1.0  # point (48, 24), which is outside, or (52, 28)
    small = [16.0, 16, 42, 48]
    assert share(values, small).item() == 0.5
    assert share(values, small, offset=0.5).item() == 1.0


def test_each_object_on_its_own_level_and_image():
    first, second = torch.zeros(2, 1, 16, 16)
    first[0, 4, 4], second[0, 1, 1] = 1.0, 1.0
    maps = fine(torch.stack([first, second]))
    large = torch.tensor([[0.0, 0, 230, 230]])  # owned by stride 16, where all is 1
    found = evidence_outside(maps, [torch.tensor([BOX]), large])
    # Points on the border of the image, at 0, lie in the ring of the large one.
    assert found.tolist() == pytest.approx([0.0, (64 - 49) / 64])
    assert evidence_outside(maps, [large[:0], torch.tensor([BOX])]).tolist() == [1.0]


def test_images_without_objects():
    assert evidence_outside(fine(torch.ones(1, 1, 16, 16)), [torch.zeros(0, 4)]).shape == (0,)


def test_ranks_at_equal_size():
    size = np.array([1.0, 2, 1, 2, 1, 2, 3])
    values = np.array([5.0, 1, 7, 3, 6, 3, np.nan])
    assert at_equal(size, values, bins=2) == pytest.approx(
        [1 / 6, 1 / 6, 5 / 6, 4 / 6, 3 / 6, 4 / 6, np.nan], nan_ok=True
    )
    assert np.isnan(at_equal(size[:1], values[-1:])).all()
