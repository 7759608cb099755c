"""A batch prepared at once has the pixels and the boxes of torchvision's transform, bit by bit."""

import pytest
import torch

from kdviz.detectors.assembly import as_float
from kdviz.detectors.batched_preprocessing import batched_preprocess

SIZES = {"two": ((65, 90), (71, 64)), "alike": ((64, 80),) * 3, "as they are": ((64, 64),) * 2}


def bytes_and_targets(sizes):
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(256, (3, *s), generator=generator, dtype=torch.uint8) for s in sizes]
    boxes = torch.tensor([[5.0, 5.0, 40.0, 44.0], [20.0, 20.0, 60.0, 62.0]])
    targets = [
        {"boxes": boxes[n % 3 :], "labels": torch.ones(2, dtype=torch.int64)[n % 3 :]}
        for n in range(len(sizes))
    ]
    return images, targets


@pytest.mark.parametrize("case", SIZES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("lengths", [96, (64, 80, 96)])
def test_the_same_bits(family, case, training, lengths, small):
    sizes = {} if family == "ssdlite" else {"min_size": lengths, "max_size": 120}
    parts = small(family, **sizes)
    parts.model.train(training)
    images, targets = bytes_and_targets(SIZES[case])
    torch.manual_seed(7)
    expected = parts.preprocess([as_float(image) for image in images], targets)
    state = torch.get_rng_state()
    for given in (images, [as_float(image) for image in images]):
        torch.manual_seed(7)
        found = batched_preprocess(parts)(given, targets)
        assert torch.equal(found.images, expected.images)
        assert found.images.dtype == torch.float32
        assert (found.sizes, found.original_sizes) == (expected.sizes, expected.original_sizes)
        assert all(
            torch.equal(a["boxes"], b["boxes"])
            for a, b in zip(found.targets, expected.targets, strict=True)
        )
        assert torch.equal(torch.get_rng_state(), state)
    assert targets[0]["boxes"][0].tolist() == [5, 5, 40, 44]  # what was given is not changed


def test_bytes_are_known_to_every_detector(family, small):
    parts = small(family)
    images, targets = bytes_and_targets(SIZES["two"])
    pixels = parts.preprocess(images, targets).images
    assert torch.equal(pixels, parts.preprocess([as_float(x) for x in images], targets).images)


def test_a_transform_of_ones_own_is_kept(small):
    parts = small("fcos")
    parts.model.transform.__class__ = type("Mine", (type(parts.model.transform),), {})
    assert batched_preprocess(parts) == parts.preprocess
