"""Claims about students whose gains are put where we know them."""

import numpy as np
import pytest
from made_sets import coco, results

from kdviz.diagnosis.bootstrap import Estimate, draw_images
from kdviz.diagnosis.claims import (
    Claim,
    Ruling,
    claim_rows,
    claims_table,
    judge_claims,
)
from kdviz.diagnosis.errors import type_all
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.verdicts import verdicts

IMAGES = 30
PAIR = [(5, 5, 20, 20), (27, 5, 20, 20)]
LONE = (5, 70, 20, 20)
AROUND = (5, 5, 42, 20)


def estimate(low, high):
    return Estimate((low + high) / 2, np.linspace(low, high, 1001))


def claim(own, control=None, **others):
    estimates = {"gkd": own, **others} | ({"plain": control} if control else {})
    return Claim("gkd", "does it", "more", estimates, "plain" if control else None)


class TestRuling:
    @pytest.mark.parametrize(
        ("own", "control", "ruling"),
        [
            ((0.1, 0.3), None, Ruling.CONFIRMED),
            ((-0.1, 0.3), None, Ruling.UNDECIDED),
            ((-0.3, -0.1), None, Ruling.CONTRADICTED),
            ((0.1, 0.3), (0.0, 0.01), Ruling.CONFIRMED),
            ((0.1, 0.3), (0.1, 0.25), Ruling.CONFIRMED),  # paired: it is larger in every draw
            ((0.1, 0.3), (0.1, 0.3), Ruling.NOT_CONFIRMED),
            ((0.1, 0.3), (0.3, 0.5), Ruling.NOT_CONFIRMED),
            ((-0.1, 0.3), (-0.5, -0.4), Ruling.UNDECIDED),
            ((-0.3, -0.1), (-0.6, -0.5), Ruling.CONTRADICTED),
            ((np.nan, np.nan), None, Ruling.UNDECIDED),
        ],
    )
    def test_of_intervals(self, own, control, ruling):
        one = claim(estimate(*own), control and estimate(*control))
        assert one.ruling == ruling

    def test_others_are_those_that_surely_show_it(self):
        up, level = estimate(0.1, 0.2), estimate(-0.1, 0.2)
        assert claim(level, up, fgfi=up, frs=level).others == ["fgfi"]


def record():
    """In each image a near pair and an object that stands alone, of one class."""
    return coco(
        [(i + 1, 1, box) for i in range(IMAGES) for box in (*PAIR, LONE)], images=IMAGES, classes=1
    )


def judged(**found):
    """Verdicts of sets; each is a function from an image to the boxes it finds there."""
    sets = {
        name: results([(i + 1, 1, 0.9, box) for i in range(IMAGES) for box in finds(i)])
        for name, finds in found.items()
    }
    truth = record()
    typed = {}
    for name, one in sets.items():  # a diagnosis takes four at most
        typed |= type_all(read_inputs(truth, **{name: one}))
    return {name: verdicts(one, 0.5) for name, one in typed.items()}, typed


def nothing(image):
    """A set needs boxes; this one is where no object is."""
    return [(70, 70, 9, 9)]


def ask(factors=None, **found):
    sets, _ = judged(**found)
    claims = judge_claims(sets, factors or {}, draw_images(IMAGES, 200))
    return {(one.paper, one.quantity): one for one in claims}


def student(image):
    """Finds the lone object in half of the images, and of the pair now and then one."""
    boxes = [AROUND] if image % 3 == 0 else [PAIR[0]] if image % 3 == 1 else []
    return boxes + [LONE] * (image % 2)


def mends_pairs(image):
    return [*PAIR] + [LONE] * (image % 2)


def mends_lone(image):
    return [*student(image)[: image % 3 < 2], LONE]


NEAR = ("fgfi", "near minus lone")
GROUPED = ("fgfi", "fewer groups seen as one")


class TestNear:
    def test_who_mends_pairs_gains_more_on_near_objects(self):
        claims = ask(student=student, fgfi=mends_pairs, fitnets=student)
        near = claims[NEAR]
        # One in six of the near objects was found, and all are; of the lone ones half, before and
        # after.
        assert near.own.value == pytest.approx(5 / 6)
        assert near.estimates["fitnets"].value == 0
        assert near.ruling == Ruling.CONFIRMED

    def test_who_mends_lone_objects_does_the_opposite(self):
        near = ask(student=student, fgfi=mends_lone)[NEAR]
        assert near.own.value == pytest.approx(-0.5)
        assert near.control is None
        assert near.ruling == Ruling.CONTRADICTED

    def test_what_plain_imitation_does_as_well_is_not_confirmed(self):
        claims = ask(student=student, fgfi=mends_pairs, fitnets=mends_pairs, gkd=mends_pairs)
        assert claims[NEAR].ruling == Ruling.NOT_CONFIRMED
        assert claims[NEAR].others == ["gkd"]

    def test_no_effect_is_undecided(self):
        assert ask(student=student, fgfi=student)[NEAR].ruling == Ruling.UNDECIDED
        rng = np.random.default_rng(0)
        chance = [[box for box in (*PAIR, LONE) if rng.random() < 0.6] for _ in range(IMAGES)]
        lucky = ask(student=student, fgfi=lambda image: [*chance[image]])
        other = [[box for box in (*PAIR, LONE) if rng.random() < 0.6] for _ in range(IMAGES)]
        unlucky = ask(student=lambda i: [*other[i]], fgfi=lambda i: [*chance[i]])
        assert lucky[NEAR].own.value > 0  # the made student is worse on pairs
        assert unlucky[NEAR].ruling == Ruling.UNDECIDED

    def test_grouped_boxes_are_counted_by_group(self):
        claims = ask(student=student, fgfi=mends_pairs, fitnets=student)
        assert claims[GROUPED].own.value == pytest.approx(1 / 3)
        assert claims[GROUPED].estimates["fitnets"].value == 0
        assert claims[GROUPED].ruling == Ruling.CONFIRMED
        worse = ask(student=mends_pairs, fgfi=student)
        assert worse[GROUPED].ruling == Ruling.CONTRADICTED


class TestFactors:
    FACTORS = ("blur", "occlusion", "size", "cue", "outside")

    def gains(self, factor, strong):
        """The quantities if the distilled student mends the objects of one image in two."""
        value = np.repeat(np.where(np.arange(IMAGES) % 2 == 0, 2.0, 1.0), 3)
        value[value == 1.0] = 0.0 if factor == "cue" else 1.0
        mended = 0 if strong else 1

        def distilled(image):
            return [*PAIR, LONE] if image % 2 == mended else nothing(image)

        claims = ask({factor: value}, student=nothing, gkd=distilled, frs=distilled)
        return [one for key, one in claims.items() if key not in (NEAR, GROUPED)]

    @pytest.mark.parametrize("factor", FACTORS)
    @pytest.mark.parametrize("strong", [True, False])
    def test_each_factor_has_its_own_claim_and_direction(self, factor, strong):
        (one,) = self.gains(factor, strong)
        assert one.paper == ("frs" if factor in ("cue", "outside") else "gkd")
        as_claimed = strong != (factor == "size")
        assert one.own.value == pytest.approx(1.0 if as_claimed else -1.0)
        assert one.ruling == (Ruling.CONFIRMED if as_claimed else Ruling.CONTRADICTED)

    def test_unknown_values_are_left_out(self):
        value = np.repeat(np.where(np.arange(IMAGES) % 2 == 0, 2.0, 1.0), 3)
        value[::3] = np.nan
        claims = ask({"blur": value}, student=nothing, gkd=lambda i: [LONE] * (i % 2 == 0))
        assert claims["gkd", "blurred minus sharp"].own.value == pytest.approx(0.5)

    def test_richness_outside_is_compared_at_equal_size(self):
        # Small objects have much outside, and only small objects gain: no merit of the outside.
        small = np.repeat(np.arange(IMAGES) % 2 == 0, 3)
        rng = np.random.default_rng(1)
        outside = np.where(small, 0.8, 0.2) + rng.random(3 * IMAGES) * 0.1
        size = np.where(small, 10.0, 40.0) + rng.random(3 * IMAGES)

        def distilled(image):
            return [*PAIR, LONE] if image % 2 == 0 else nothing(image)

        found = {"student": nothing, "frs": distilled}
        quantity = ("frs", "much outside minus little")
        assert ask({"outside": outside}, **found)[quantity].ruling == Ruling.CONFIRMED
        even = ask({"outside": outside, "size": size}, **found)[quantity]
        assert even.ruling == Ruling.UNDECIDED


class TestHeads:
    def ask(self, **arguments):
        sets, typed = judged(
            student=student,
            dist2=mends_pairs,
            fitnets=student,
            fgfi=lambda image: [*PAIR, LONE],
        )
        chosen = {key: {name: typed[name] for name in names} for key, names in arguments.items()}
        claims = judge_claims(sets, {}, draw_images(IMAGES, 200), **chosen)
        return [one for one in claims if one.paper == "dist2"]

    def test_stitched_maps_against_the_student(self):
        (one,) = self.ask(crossed=["student", "dist2", "fitnets", "fgfi"])
        assert one.own.value > 0.2
        assert one.estimates["fitnets"].value == 0
        assert (one.ruling, one.control, one.others) == (Ruling.CONFIRMED, "fitnets", ["fgfi"])

    def test_adapters_against_plain_imitation(self):
        (one,) = self.ask(adapted=["dist2", "fitnets"])
        assert one.own.value > 0.2
        assert (one.ruling, one.control) == (Ruling.CONFIRMED, None)
        assert self.ask(adapted=["dist2"]) == []

    def test_without_them_there_is_no_claim(self):
        assert self.ask() == []


def test_only_known_papers_are_asked():
    claims = ask(student=student, mine=mends_pairs, teacher=mends_pairs)
    assert claims == {}
    with pytest.raises(KeyError, match="student"):
        ask(fgfi=student)


def test_without_near_groups_there_is_nothing_to_say_of_them():
    truth = coco([(i + 1, 1, LONE) for i in range(4)], images=4, classes=1)
    found = results([(i + 1, 1, 0.9, LONE) for i in range(4)])
    typed = type_all(read_inputs(truth, student=found[:2], fgfi=found))
    sets = {name: verdicts(one, 0.5) for name, one in typed.items()}
    assert judge_claims(sets, {}, draw_images(4, 50)) == []


def test_table_and_rows():
    up, level = estimate(0.1, 0.3), estimate(-0.2, 0.2)
    claims = [claim(up, level, fgfi=up), claim(level)]
    lines = claims_table(claims).splitlines()
    assert lines[0] == "GKD   does it: confirmed"
    assert lines[1].split() == ["more", "+0.200", "[+0.105,", "+0.295]"]
    assert lines[2].split()[:4] == ["the", "same", "of", "plain"]
    assert lines[4].strip() == "also shown by fgfi"
    assert lines[5] == "GKD   does it: undecided"
    assert len(lines) == 7
    series = claim_rows(claims[:1])
    assert series == {
        "the method": {"GKD: more": up},
        "plain": {"GKD: more": level},
    }
