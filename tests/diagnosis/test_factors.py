"""Estimated factors: hand-made boxes and blurs, a loop for comparison, and the known ones."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from kdviz.datasets.scenes import FACTORS, SceneConfig, scene_record
from kdviz.datasets.scenes.factors import crowding, overlap
from kdviz.diagnosis import factors
from kdviz.engine.coco_input import read_annotations


def truth_of(*boxes, size=(100, 80), labels=None, crowd=()):
    labels = labels or [1] * len(boxes)
    return read_annotations(
        {
            "images": [{"id": 1, "width": size[0], "height": size[1], "file_name": "a.png"}],
            "categories": [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}],
            "annotations": [
                {"id": i + 1, "image_id": 1, "category_id": label, "bbox": list(box),
                 "iscrowd": int(i in crowd)}
                for i, (box, label) in enumerate(zip(boxes, labels, strict=True))
            ],
        }
    )  # fmt: skip


class TestBoxFactors:
    def test_size_border_and_truncation(self):
        told = factors.box_factors(truth_of([0, 20, 10, 40], [40, 30, 20, 20]))
        assert told["size"].tolist() == [20, 20]
        assert told["truncation"].tolist() == [0.25, 0]
        assert told["border"].tolist() == [0, 1.5]

    def test_occlusion_is_the_share_that_one_other_box_covers(self):
        told = factors.box_factors(truth_of([10, 10, 20, 20], [20, 10, 20, 40], [70, 60, 9, 9]))
        assert told["occlusion"].tolist() == [0.5, 0.25, 0]
        assert told["overlap"] == pytest.approx([0.2, 0.2, 0])

    def test_frequency_counts_without_crowds(self):
        truth = truth_of(
            *[[i * 12.0, 5, 10, 10] for i in range(5)], labels=[1, 1, 1, 2, 2], crowd=[4]
        )
        assert factors.box_factors(truth)["frequency"].tolist() == [0.75, 0.75, 0.75, 0.25, 0.25]

    def test_a_crowd_crowds_nobody(self):
        assert factors.box_factors(truth_of([10, 10, 20, 20], [30, 10, 20, 20], crowd=[1]))[
            "crowding"
        ].tolist() == [0, 0]

    def test_equal_to_the_scenes_own_loops(self):
        rng = np.random.default_rng(0)
        corner, side = rng.integers(0, 60, (12, 2)), rng.integers(5, 30, (12, 2))
        told = factors.box_factors(truth_of(*np.concatenate([corner, side], axis=1).tolist()))
        boxes = [tuple(map(int, x)) for x in np.concatenate([corner, corner + side], axis=1)]
        for i, box in enumerate(boxes):
            others = boxes[:i] + boxes[i + 1 :]
            assert told["crowding"][i] == pytest.approx(crowding(box, others))
            assert told["overlap"][i] == pytest.approx(overlap(box, others))


class TestPixelFactors:
    def image(self, sigma):
        grey = np.full((80, 100), 0.2)
        grey[20:60, 30:70] = 0.8
        grey = gaussian_filter(grey, sigma) if sigma else grey
        return np.repeat((grey * 255).round().astype(np.uint8)[..., None], 3, axis=2)

    @pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
    def test_blur_is_the_width_of_the_edges(self, sigma):
        told = factors.pixel_factors(truth_of([25, 15, 50, 50]), lambda _: self.image(sigma))
        assert told["blur"][0] == pytest.approx(sigma, rel=0.25)

    def test_contrast_of_a_patch(self):
        told = factors.pixel_factors(truth_of([30, 20, 40, 40]), lambda _: self.image(0))
        assert told["contrast"][0] == pytest.approx(0.6, abs=0.01)

    def test_a_flat_image_and_a_box_of_nothing(self):
        grey = np.full((80, 100, 3), 90, np.uint8)
        told = factors.pixel_factors(truth_of([30, 20, 40, 40], [5, 5, 1, 1]), lambda _: grey)
        assert told["contrast"][0] == pytest.approx(0)
        assert np.isnan(told["contrast"][1])


@pytest.fixture(scope="module")
def scenes():
    images = []
    record = scene_record(SceneConfig(), "val", 60, keep=lambda _, pixels: images.append(pixels))
    return read_annotations(record), images.__getitem__


class TestScenes:
    def test_estimates_rank_objects_as_the_known_factors_do(self, scenes):
        truth, read = scenes
        estimates = factors.box_factors(truth) | factors.pixel_factors(truth, read)
        told = factors.agreement(truth, estimates)
        assert set(told) == set(FACTORS) - {"lookalike", "cue"}
        # What is copied from boxes is exact, what is guessed from pixels is not.
        for name in ("size", "crowding", "overlap"):
            assert told[name][0] > 0.999
        for name in ("blur", "contrast", "truncation"):
            assert told[name][0] > 0.4
        assert told["occlusion"][0] > 0.1

    def test_known_factors_stay(self, scenes):
        truth, read = scenes
        every = factors.with_estimates(truth, read).factors
        assert np.array_equal(every["blur"], truth.factors["blur"])
        bare = factors.with_estimates(replace(truth, factors={}), read).factors
        assert set(bare) == {*factors.BOX_FACTORS, *factors.PIXEL_FACTORS}
        assert set(factors.with_estimates(replace(truth, factors={})).factors) == set(
            factors.BOX_FACTORS
        )


def test_no_images(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image .*a\.png; give the folder"):
        factors.reader(truth_of([0, 0, 9, 9]), tmp_path)
