"""Crops are where they should be, in their image and on their sheet."""

import numpy as np
import pytest

from kdviz.plots import crop_around, crop_rows
from kdviz.plots.theme import FAINT

GREY = tuple(int(FAINT[i : i + 2], 16) for i in (1, 3, 5))


def coded(height=40, width=60):
    """Red is the row, green the column."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows, columns, np.full_like(rows, 7)], axis=-1).astype(np.uint8)


class TestCropAround:
    def test_takes_the_square_round_the_longer_side(self):
        crop = crop_around(coded(), [20, 10, 30, 16], margin=0.0)
        assert crop.shape == (10, 10, 3)
        # the middle of the box is (25, 13): columns 20..29, rows 8..17
        assert crop[0, 0].tolist() == [8, 20, 7]
        assert crop[-1, -1].tolist() == [17, 29, 7]

    def test_margin_is_shared_by_both_sides(self):
        crop = crop_around(coded(), [20, 10, 30, 20], margin=0.4)
        assert crop.shape == (14, 14, 3)
        assert crop[0, 0].tolist() == [8, 18, 7]

    def test_grey_beyond_the_image(self):
        crop = crop_around(coded(), [0, 0, 10, 10], margin=0.4)
        assert crop[2, 2].tolist() == [0, 0, 7]
        assert (crop[:2] == GREY).all()
        assert (crop[:, :2] == GREY).all()
        left = crop_around(coded(), [0, 15, 10, 25], margin=0.4)
        assert left[0, 2].tolist() == [13, 0, 7]
        assert (left[:, :2] == GREY).all()
        corner = crop_around(coded(), [50, 30, 60, 40], margin=0.4)
        assert corner[11, 11].tolist() == [39, 59, 7]
        assert (corner[12:] == GREY).all()
        assert (corner[:, 12:] == GREY).all()

    def test_a_box_outside_or_without_size(self):
        assert (crop_around(coded(), [100, 100, 110, 110]) == GREY).all()
        assert (crop_around(coded(), [-30, -30, -20, -20]) == GREY).all()
        assert crop_around(coded(), [5, 5, 5, 5]).shape == (1, 1, 3)

    def test_takes_what_other_pictures_take(self):
        floats = np.moveaxis(coded() / 255.0, -1, 0)
        box = [20, 10, 30, 16]
        assert (crop_around(floats, box) == crop_around(coded(), box)).all()


def plain(red, green, blue):
    return np.full((9, 9, 3), (red, green, blue), dtype=np.uint8)


ROWS = {"first": [plain(255, 0, 0), plain(0, 255, 0)], "second": [plain(0, 0, 255)]}


class TestCropRows:
    def test_each_crop_stands_in_its_row_and_order(self, pixel_at):
        figure, axes = crop_rows(ROWS)
        height = axes.get_ylim()[0]
        width = axes.get_xlim()[1]
        at = [(width - 90, 28), (width - 28, 28), (width - 90, height - 28)]
        colours = [pixel_at(figure, axes, x, y).tolist() for x, y in at]
        assert colours == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
        assert pixel_at(figure, axes, width - 28, height - 28).tolist() == [255, 255, 255]

    def test_colours_stay_within_half_a_step_of_five_bits(self, pixels_of):
        shades = [plain(k, 255 - k, k) for k in range(0, 256, 17)]
        drawn = pixels_of(crop_rows({"shades": shades[:9]})[0]).reshape(-1, 3).astype(int)
        for shade in shades[:9]:
            assert np.abs(drawn - shade[0, 0].astype(int)).max(axis=1).min() <= 4

    def test_says_how_many_found_no_room(self):
        _, axes = crop_rows({"many": [plain(0, 0, 0)] * 30}, width=4)
        (text,) = [t.get_text() for t in axes.texts]
        columns = 30 - int(text.split("+")[1].split()[0])
        assert 3 <= columns <= 6

    def test_nothing_is_cut_or_covered(self, layout_faults):
        long = "a red blood cell with a remarkably long class name"
        rows = {long: [plain(0, 0, 0)] * 40, "b": [plain(9, 9, 9)], "none": []}
        notes = {name: [long] * len(crops) for name, crops in rows.items()}
        figure, _ = crop_rows(rows, notes=notes, caption="Read me from left to right. " * 9)
        assert layout_faults(figure) == []

    def test_what_does_not_fit_is_refused(self):
        with pytest.raises(ValueError, match="every row of crops is empty"):
            crop_rows({"none": []})
        with pytest.raises(ValueError, match="1 notes for the 2 crops of 'first'"):
            crop_rows(ROWS, notes={"first": ["a"], "second": ["b"]})
