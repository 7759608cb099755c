"""Heads on strange maps: equal to the detector itself on its own, and stitches against numpy."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from kdviz.detectors import Pass, build
from kdviz.diagnosis.head_swap import (
    StitchFit,
    adapted,
    can_read,
    feature_distance,
    fit_stitch,
    fit_stitches,
    read,
    swap_heads,
)
from kdviz.methods import Affinity, Dist2, FitNets
from kdviz.structures import Level, Pyramid

STUDENT, TEACHER = "fcos-shufflenetv2x0.5-c64", "fcos-mobilenetv2-c128"


@pytest.fixture(scope="module")
def passes():
    """A narrow and a wide detector over two images; heads of large weights, so that they speak."""
    torch.manual_seed(0)
    images = [torch.rand(3, 64, 64), torch.rand(3, 64, 64)]
    seen = {}
    for role, name in (("student", STUDENT), ("teacher", TEACHER)):
        parts = build(name, 3, min_size=64, max_size=64)
        parts.model.eval().requires_grad_(False)
        torch.nn.init.normal_(parts.model.head.classification_head.cls_logits.weight, std=0.5)
        seen[role] = Pass(parts, parts.preprocess(images))
    return seen


def pyramid(*maps):
    return Pyramid(tuple(Level(f"p{3 + i}", 8 * 2**i, values) for i, values in enumerate(maps)))


def random_maps(channels, seed, images=3):
    generator = torch.Generator().manual_seed(seed)
    return pyramid(
        torch.randn(images, channels, 6, 4, generator=generator),
        torch.randn(images, channels, 3, 2, generator=generator),
    )


class TestRead:
    def test_on_its_own_maps_it_is_the_detector(self, passes):
        own = passes["student"]
        whole = own.parts.detections(own.output, own.batch)
        found = read(own.parts, own.features, own.batch)
        assert any((each.labels == 0).any() for each in whole)
        for ours, theirs in zip(found, whole, strict=True):
            kept = theirs.labels > 0
            assert len(ours.boxes) == kept.sum() > 0
            assert torch.equal(ours.boxes, theirs.boxes[kept])
            assert torch.equal(ours.scores, theirs.scores[kept])
            assert ours.labels.min() > 0

    def test_channels_and_strides_must_be_there(self, passes):
        student, teacher = passes.values()
        assert can_read(student.parts, student.features)
        assert not can_read(teacher.parts, student.features)
        assert not can_read(student.parts, Pyramid(student.features.levels[1:]))

    def test_pairs_that_do_not_fit_are_left_out_until_they_are_stitched(self, passes):
        alone = swap_heads(passes)
        assert set(alone) == {("student", "student"), ("teacher", "teacher")}
        cells = swap_heads(passes, fit_stitches(passes))
        assert set(cells) == {(neck, head) for neck in passes for head in passes}
        # A detector needs no translation of its own maps.
        for name in passes:
            for ours, theirs in zip(cells[name, name], alone[name, name], strict=True):
                assert torch.equal(ours.boxes, theirs.boxes)

    def test_the_first_name_is_the_neck(self, passes):
        stitches = fit_stitches(passes)
        cells = swap_heads(passes, stitches)
        teacher = passes["teacher"]
        translated = stitches["student", "teacher"](passes["student"].features)
        expected = read(teacher.parts, translated, teacher.batch)
        for ours, theirs in zip(cells["student", "teacher"], expected, strict=True):
            assert torch.equal(ours.scores, theirs.scores)


class TestStitch:
    def test_finds_a_linear_map_and_applies_it_to_other_images(self):
        generator = torch.Generator().manual_seed(5)
        matrix, offset = torch.randn(4, 7, generator=generator), torch.randn(7, generator=generator)

        def translated(maps):
            return maps.apply(
                lambda x: torch.einsum("nchw,cd->ndhw", x, matrix) + offset.view(1, -1, 1, 1)
            )

        train, other = random_maps(4, seed=0), random_maps(4, seed=1)
        stitch = fit_stitch(source=train, target=translated(train), ridge=1e-9)
        for ours, theirs in zip(stitch(other).maps, translated(other).maps, strict=True):
            assert ours.shape == theirs.shape
            assert_close(ours, theirs, atol=1e-4, rtol=1e-4)

    def test_is_the_least_squares_of_numpy(self):
        source, target = random_maps(4, seed=0), random_maps(5, seed=1)
        stitch = fit_stitch(source=source, target=target, ridge=1e-9)
        for level in target.levels:
            rows, wanted = [], []
            own = source.at(level.stride).map
            for n in range(own.shape[0]):
                for i in range(own.shape[2]):
                    for j in range(own.shape[3]):
                        rows.append([*own[n, :, i, j].tolist(), 1.0])
                        wanted.append(level.map[n, :, i, j].tolist())
            solved, *_ = np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=None)
            assert np.allclose(stitch.weights[level.stride], solved[:-1], atol=1e-5)
            assert np.allclose(stitch.offsets[level.stride], solved[-1], atol=1e-5)

    def test_ridge_is_relative_to_the_size_of_the_maps(self):
        source, target = random_maps(4, seed=0), random_maps(5, seed=1)
        small = fit_stitch(source=source, target=target)(source)
        large = fit_stitch(source=source.apply(lambda x: 1e3 * x), target=target)
        again = large(source.apply(lambda x: 1e3 * x))
        for one, other in zip(small.maps, again.maps, strict=True):
            assert_close(one, other, atol=1e-4, rtol=1e-4)

    def test_few_cells_and_constant_maps_stay_finite(self):
        source = pyramid(torch.randn(2, 16, 1, 1), torch.full((2, 16, 1, 1), 3.0))
        target = pyramid(torch.randn(2, 4, 1, 1), torch.randn(2, 4, 1, 1))
        stitched = fit_stitch(source=source, target=target)(source)
        assert all(values.isfinite().all() for values in stitched.maps)
        mean = target.maps[1].mean(0, keepdim=True).expand(2, -1, -1, -1)
        assert_close(stitched.maps[1], mean)

    def test_batch_by_batch_is_all_at_once(self):
        # Batches of unequal size and of means far apart and far from 0.
        parts = [
            (random_maps(4, seed=i, images=i + 1), random_maps(5, seed=9 - i, images=i + 1))
            for i in range(3)
        ]
        parts = [
            (source.apply(lambda x, i=i: 50 * i + x), target)
            for i, (source, target) in enumerate(parts)
        ]
        fit = StitchFit()
        for source, target in parts:
            fit.add(source=source, target=target)
        whole = [
            side[0].with_maps(
                [torch.cat(maps) for maps in zip(*(x.maps for x in side), strict=True)]
            )
            for side in zip(*parts, strict=True)
        ]
        together, apart = fit_stitch(source=whole[0], target=whole[1]), fit.solve()
        for stride in (8, 16):
            assert_close(apart.weights[stride], together.weights[stride])
            assert_close(apart.offsets[stride], together.offsets[stride])

    def test_levels_are_matched_by_stride(self):
        source, target = random_maps(4, seed=0), random_maps(5, seed=1)
        coarse = Pyramid(target.levels[1:])
        assert fit_stitch(source=source, target=coarse)(source).strides == [16]
        with pytest.raises(KeyError, match="no level of stride 8"):
            fit_stitch(source=Pyramid(source.levels[1:]), target=target)


class TestAdapted:
    def test_a_neck_adapter_is_applied(self, passes):
        student, teacher = passes.values()
        method = FitNets(student.parts, teacher.parts)
        maps = adapted(method, student, teacher)
        assert can_read(teacher.parts, maps)
        first = student.features.levels[0]
        assert torch.equal(maps.maps[0], method.adapter.convs[first.name](first.map))

    @pytest.mark.parametrize("strategy", ["b2b", "b2n", "n2n", "n2b"])
    def test_dist2_gives_what_its_own_detections_come_from(self, strategy, passes):
        student, teacher = passes.values()
        torch.manual_seed(1)
        method = Dist2(student.parts, teacher.parts, strategies=strategy)
        maps = adapted(method, student, teacher)
        output = method.cross_outputs(student, teacher)[strategy]
        assert_close(teacher.parts.head(maps, teacher.batch).logits, output.logits)

    def test_a_method_without_adapter_has_nothing_to_show(self, passes):
        student, teacher = passes.values()
        assert adapted(Affinity(student.parts, teacher.parts), student, teacher) is None


class TestDistance:
    def test_by_hand(self):
        target = pyramid(torch.tensor([[[[3.0]], [[4.0]]]]), torch.tensor([[[[0.0]], [[5.0]]]]))
        other = pyramid(torch.tensor([[[[3.0]], [[2.0]]]]), torch.tensor([[[[1.0]], [[5.0]]]]))
        assert feature_distance(other, target) == pytest.approx((4 + 1) / (25 + 25))
        assert feature_distance(target, target) == 0
        assert feature_distance(target.apply(torch.zeros_like), target) == 1

    def test_no_other_linear_map_is_nearer_than_the_stitch(self):
        source, target = random_maps(4, seed=0), random_maps(5, seed=1)
        stitch = fit_stitch(source=source, target=target, ridge=1e-9)
        best = feature_distance(stitch(source), target)
        assert best < 1
        for seed in range(5):
            torch.manual_seed(seed)
            moved = {k: w + 0.02 * torch.randn_like(w) for k, w in stitch.weights.items()}
            changed = type(stitch)(moved, stitch.offsets)
            assert feature_distance(changed(source), target) > best
