from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kdviz.datasets.scenes import (
    FACTORS,
    SHAPES,
    TWINS,
    SceneConfig,
    cached_scenes,
    render,
    scene_record,
    write,
    write_scenes,
)
from kdviz.datasets.scenes.fixed import TURN, Draws, defocus
from kdviz.datasets.scenes.paint import CELLS

CLEAN = {
    "noise": 0,
    "strokes": (0, 0),
    "distractors": (0, 0),
    "blur_probability": 0.0,
    "occlusion_probability": 0.0,
    "lookalike_probability": 0.0,
    "cue_probability": 0.0,
    "truncation_probability": 0.0,
    "contrast": (1.0, 1.0),
}


def clean(**changes: object) -> SceneConfig:
    return SceneConfig(**{**CLEAN, **changes})  # type: ignore[arg-type]


def digest(config: SceneConfig, seed: int, split: str, index: int) -> str:
    image, objects = render(config, seed, split, index)
    truth = [[o.label, o.name, o.box, o.factors] for o in objects]
    return hashlib.sha256(image.tobytes() + json.dumps(truth).encode()).hexdigest()[:16]


# Bytes are a contract: embedded weights were trained on them. A change here needs a new RENDERER.
PINNED = [
    (SceneConfig(), 0, "train", 0, "f1cd80af1ede67bb"),
    (SceneConfig(), 0, "val", 7, "1e1c6e3a239a8e97"),
    (SceneConfig(), 3, "test", 41, "c2d705830e25a61a"),
    (SceneConfig(size=320, objects=(8, 12), blur=(0.0, 4.0)), 1, "train", 2, "a6ad12794d1dd672"),
    (
        SceneConfig(size=64, classes=tuple(SHAPES), cue_probability=1.0),
        5,
        "train",
        9,
        "1098bc5e5f98c1af",
    ),
]


@pytest.mark.parametrize(("config", "seed", "split", "index", "expected"), PINNED)
def test_bytes_are_pinned(
    config: SceneConfig, seed: int, split: str, index: int, expected: str
) -> None:
    assert digest(config, seed, split, index) == expected


def test_scenes_do_not_depend_on_each_other() -> None:
    config = SceneConfig(size=64)
    forward = [digest(config, 0, "train", index) for index in (0, 1, 2)]
    backward = [digest(config, 0, "train", index) for index in (2, 1, 0)]
    assert forward == backward[::-1]
    others = [digest(config, 0, "val", 0), digest(config, 1, "train", 0)]
    assert len({*forward, *others}) == 5


def test_no_sine_lies_near_a_rounding_border() -> None:
    for step in range(TURN):
        rest = math.sin(math.tau * step / TURN) * 4096 % 1
        assert abs(rest - 0.5) > 1e-6


def test_draws_cover_their_range_evenly() -> None:
    draws = Draws(0, 1)
    counts = Counter(draws.integer(-2, 2) for _ in range(5000))
    assert sorted(counts) == [-2, -1, 0, 1, 2]
    assert min(counts.values()) > 850
    assert sum(draws.chance(0.3) for _ in range(5000)) == pytest.approx(1500, abs=150)
    assert not draws.chance(0.0)
    assert draws.chance(1.0)


@pytest.mark.parametrize("passes", [1, 3, 8, 30, 72])
def test_defocus_has_the_variance_it_claims(passes: int) -> None:
    layer = np.zeros((81, 81, 1), dtype=np.int32)
    layer[40, 40] = 1 << 27
    result = defocus(layer, passes)[..., 0].astype(float)
    away = np.arange(81) - 40
    for axis in (0, 1):
        profile = result.sum(axis=axis)
        assert (profile * away**2).sum() / profile.sum() == pytest.approx(passes / 2, rel=0.01)
    assert result.sum() == pytest.approx(1 << 27, rel=0.01)


@pytest.mark.parametrize("name", SHAPES)
def test_boxes_are_tight_round_what_is_drawn(name: str) -> None:
    config = clean(classes=(name,), objects=(1, 1))
    empty = clean(classes=(name,), objects=(0, 0))
    for index in range(4):
        image, (only,) = render(config, 0, "train", index)
        ground, nothing = render(empty, 0, "train", index)
        assert nothing == []
        changed = np.abs(image.astype(int) - ground).sum(axis=2) > 60
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        drawn = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert np.abs(np.subtract(drawn, only.box)).max() <= 1
        assert np.count_nonzero(changed ^ only.mask) < 0.25 * np.count_nonzero(only.mask) + 40
        assert only.factors["size"] == pytest.approx(
            math.sqrt((only.box[2] - only.box[0]) * (only.box[3] - only.box[1])), abs=1e-3
        )


def test_silhouettes_of_twins_differ() -> None:
    assert all(TWINS[TWINS[name]] == name and TWINS[name] != name for name in SHAPES)
    for name, twin in TWINS.items():
        masks = []
        for shape in (name, twin):
            _, (only,) = render(clean(classes=(shape,), objects=(1, 1)), 0, "train", 3)
            masks.append(only.mask)
        assert np.count_nonzero(masks[0] ^ masks[1]) > 0.05 * np.count_nonzero(masks[0])


def test_boxes_lie_inside_the_image_and_factors_in_their_ranges() -> None:
    config = SceneConfig(size=96, truncation_probability=0.3, objects=(3, 8))
    for index in range(40):
        image, objects = render(config, 0, "train", index)
        assert image.shape == (96, 96, 3)
        assert image.dtype == np.uint8
        for o in objects:
            x0, y0, x1, y1 = o.box
            assert 0 <= x0 < x1 <= 96
            assert 0 <= y0 < y1 <= 96
            assert list(o.factors) == list(FACTORS)
            assert all(
                0 <= o.factors[name] <= 1 for name in FACTORS if name not in ("size", "blur")
            )
            assert o.factors["cue"] in (0, 1)
            assert o.factors["occlusion"] <= config.max_occlusion
            assert config.classes[o.label - 1] == o.name


def test_occlusion_counts_the_pixels_that_a_bar_changes() -> None:
    config = clean(objects=(1, 1), occlusion_probability=1.0, object_size=(0.3, 0.5))
    shares = []
    for index in range(8):
        image, (only,) = render(config, 0, "train", index)
        bare, (same,) = render(clean(objects=(1, 1), object_size=(0.3, 0.5)), 0, "train", index)
        assert only.box == same.box
        changed = np.any(image != bare, axis=2)[only.mask].mean()
        assert only.factors["occlusion"] == pytest.approx(changed, abs=0.12)
        hidden = 1 - only.visible.sum() / only.mask.sum()
        assert only.factors["occlusion"] == pytest.approx(hidden, abs=1e-4)
        assert same.factors["occlusion"] == 0
        shares.append(only.factors["occlusion"])
    assert np.mean(shares) > 0.15


def test_objects_hide_each_other_back_to_front() -> None:
    seen = 0
    for index in range(40):
        _, objects = render(
            clean(objects=(2, 2), pair_probability=1.0, object_size=(0.3, 0.5)), 0, "train", index
        )
        if len(objects) == 2:
            back, front = objects
            assert front.factors["occlusion"] == 0
            shared = np.count_nonzero(back.mask & front.mask) / np.count_nonzero(back.mask)
            assert back.factors["occlusion"] == pytest.approx(shared, abs=1e-4)
            seen += shared > 0
    assert seen > 0


def test_too_hidden_objects_are_neither_painted_nor_listed() -> None:
    bars = {"occlusion_probability": 1.0, "occlusion": (0.5, 0.5), "objects": (1, 1)}
    ground, _ = render(clean(objects=(0, 0)), 0, "train", 2)
    image, objects = render(clean(**bars, max_occlusion=0.0), 0, "train", 2)
    assert objects == []
    assert np.array_equal(image, ground)


def test_blur_takes_away_high_frequencies() -> None:
    sharp, objects = render(clean(), 0, "train", 4)
    soft, blurred = render(clean(blur_probability=1.0, blur=(1.5, 1.5)), 0, "train", 4)
    assert [o.box for o in objects] == [o.box for o in blurred]
    assert {o.factors["blur"] for o in objects} == {0.0}
    assert all(o.factors["blur"] == pytest.approx(1.5, abs=0.15) for o in blurred)
    energy = [np.abs(np.diff(image.astype(int), axis=1)).max() for image in (sharp, soft)]
    assert energy[1] < 0.6 * energy[0]


def test_forced_pairs_stand_close() -> None:
    near = []
    for index in range(30):
        _, objects = render(clean(objects=(2, 2), pair_probability=1.0), 0, "train", index)
        if len(objects) == 2:
            near.append(min(o.factors["crowding"] for o in objects))
    assert len(near) > 25
    assert np.mean(np.array(near) >= 0.65) > 0.9
    _, alone = render(clean(objects=(1, 1)), 0, "train", 0)
    assert alone[0].factors["crowding"] == 0


def test_lookalikes_are_measured_only_where_they_are() -> None:
    with_them = SceneConfig(lookalike_probability=1.0, distractors=(0, 0))
    without = SceneConfig(lookalike_probability=0.0, distractors=(0, 0))
    for index in range(5):
        _, objects = render(with_them, 0, "train", index)
        _, plain = render(without, 0, "train", index)
        assert [o.box for o in objects] == [o.box for o in plain]
        assert all(o.factors["lookalike"] > 0 for o in objects)
        assert all(o.factors["lookalike"] == 0 for o in plain)


def test_inks_and_places_stay_when_another_look_is_turned_up() -> None:
    plain = clean(size=160)
    changes = {"lookalike_probability": 1.0, "cue_probability": 1.0, "distractors": (3, 3)}
    for index in range(4):
        image, objects = render(plain, 0, "train", index)
        busy, same = render(replace(plain, **changes), 0, "train", index)
        assert len(objects) == len(same)
        for before, after in zip(objects, same, strict=True):
            # Their softened edges let the new background shine through.
            changed = np.any(image != busy, axis=2)[before.visible & after.visible]
            assert changed.mean() < 0.35


def test_contrast_follows_the_strength_of_the_ink() -> None:
    for index in range(5):
        _, strong = render(clean(objects=(1, 1)), 0, "train", index)
        _, weak = render(clean(objects=(1, 1), contrast=(0.3, 0.3)), 0, "train", index)
        assert weak[0].factors["contrast"] < 0.8 * strong[0].factors["contrast"]


def test_truncated_objects_leave_the_image() -> None:
    for index in range(10):
        _, (only,) = render(clean(objects=(1, 1), truncation_probability=1.0), 0, "train", index)
        assert 0.02 < only.factors["truncation"] < 0.5
        assert min(only.box[:2]) == 0 or max(only.box[2:]) == 128


def test_a_plate_spells_the_class_outside_the_box() -> None:
    config = clean(objects=(1, 1), cue_probability=1.0, classes=tuple(SHAPES))
    read = 0
    for index in range(12):
        image, (only,) = render(config, 0, "train", index)
        bare, _ = render(clean(objects=(1, 1), classes=tuple(SHAPES)), 0, "train", index)
        rows, columns = np.nonzero(np.any(image != bare, axis=2))
        assert only.factors["cue"] == 1
        assert rows.min() >= only.box[3] or rows.max() < only.box[1]
        middle = image[(rows.min() + rows.max()) // 2, columns.min() + 1 : columns.max()]
        bits = [int(cell[len(cell) // 2, 0] > 150) for cell in np.split(middle, CELLS)]
        assert int("".join(map(str, bits)), 2) == only.label
        read += 1
    assert read == 12


def test_classes_are_balanced() -> None:
    config = clean(size=64, objects=(4, 4))
    counts = Counter(o.label for index in range(250) for o in render(config, 0, "train", index)[1])
    expected = sum(counts.values()) / 8
    assert sorted(counts) == list(range(1, 9))
    assert all(0.7 * expected < count < 1.3 * expected for count in counts.values())


def test_record_is_what_coco_evaluates() -> None:
    config = SceneConfig(size=64, objects=(1, 3))
    record = json.loads(json.dumps(scene_record(config, "val", 12, seed=2)))
    assert SceneConfig(**record["info"]["config"]) == config
    for part in ("images", "annotations", "categories"):
        assert [entry["id"] for entry in record[part]] == list(range(1, len(record[part]) + 1))
    results = [{**annotation, "score": 0.9} for annotation in record["annotations"]]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = record
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_written_images_are_the_rendered_ones(tmp_path: Path) -> None:
    config = SceneConfig(size=64)
    folder = write_scenes(tmp_path / "scenes", config, train=3, val=2, seed=4)
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert names == [
        "annotations/instances_train.json",
        "annotations/instances_val.json",
        "images/train_000000.png",
        "images/train_000001.png",
        "images/train_000002.png",
        "images/val_000000.png",
        "images/val_000001.png",
    ]
    record = json.loads((folder / "annotations/instances_val.json").read_text())
    assert record == json.loads(json.dumps(scene_record(config, "val", 2, seed=4)))
    with write.Image.open(folder / "images" / record["images"][1]["file_name"]) as stored:
        assert np.array_equal(np.asarray(stored), render(config, 4, "val", 1)[0])
    with pytest.raises(FileExistsError, match="not empty"):
        write_scenes(folder, config, train=1, val=0)


def test_interrupted_writing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(config: SceneConfig, seed: int, split: str, index: int) -> object:
        if index == 2:
            raise KeyboardInterrupt
        return render(config, seed, split, index)

    monkeypatch.setattr(write, "render", fail)
    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "scenes", SceneConfig(size=64), train=5, val=0)
    assert list(tmp_path.iterdir()) == []


def test_cache_renders_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SceneConfig(size=64)
    first = cached_scenes(tmp_path, config, train=2, val=1)
    assert cached_scenes(tmp_path, config, train=2, val=1, seed=1) != first
    monkeypatch.setattr(write, "render", None)
    assert cached_scenes(tmp_path, SceneConfig(size=64), train=2, val=1) == first
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 32},
        {"classes": ("disc", "cat")},
        {"classes": ()},
        {"classes": ("disc", "disc")},
        {"objects": (3, 1)},
        {"blur": (-1.0, 2.0)},
        {"cue_probability": 1.5},
        {"rotation": 45},
        {"objects": (1.5, 3)},
        {"objects": (3,)},
        {"noise": "loud"},
        {"blur": None},
        {"size": None},
        {"blur": (0.0, float("inf"))},
    ],
)
def test_wrong_values_name_their_field(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SceneConfig(**wrong)  # type: ignore[arg-type]


def test_equal_configurations_are_one() -> None:
    config = SceneConfig(blur=[0, 2], pair_probability=1)  # type: ignore[arg-type]
    same = SceneConfig(blur=(0.0, 2.0), pair_probability=1.0)
    assert hash(config) == hash(same)
    assert json.dumps(config.to_dict()) == json.dumps(same.to_dict())
    assert SceneConfig(**json.loads(json.dumps(config.to_dict()))) == config


def test_a_plate_under_another_is_no_cue() -> None:
    config = clean(objects=(6, 8), cue_probability=1.0, pair_probability=1.0)
    cues = [o.factors["cue"] for index in range(10) for o in render(config, 0, "train", index)[1]]
    assert 0.1 < np.mean(cues) < 0.9


def test_render_rejects_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="split must be one of"):
        render(SceneConfig(), 0, "training", 0)
    with pytest.raises(ValueError, match="at least 0"):
        render(SceneConfig(), -1, "train", 0)
