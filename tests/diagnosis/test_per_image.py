import numpy as np
from made_sets import drawn, typed_sets

from kdviz.diagnosis.errors import BoxType, type_all
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.per_image import most_improved, score_images
from kdviz.diagnosis.verdicts import verdicts

AT, EMPTY = (10, 10, 40, 40), (70, 5, 20, 20)


def test_by_hand():
    objects = [(1, 1, AT), (2, 1, AT), (2, 1, EMPTY), (4, 1, AT), (5, 1, AT, True)]
    before = [
        (1, 1, 0.9, AT),
        (2, 1, 0.9, EMPTY),
        (3, 1, 0.9, AT),
        (5, 1, 0.9, AT),
        (4, 1, 0.4, AT),
    ]
    after = [(2, 1, 0.9, EMPTY), (2, 1, 0.9, AT), (4, 1, 0.9, AT), (1, 1, 0.6, EMPTY)]
    sets = typed_sets(objects, images=6, student=before, distilled=after)
    old, new = (score_images(verdicts(sets[name], 0.5)) for name in ("student", "distilled"))
    assert old.objects.tolist() == [1, 2, 0, 1, 0, 0]
    assert old.right.tolist() == [1, 1, 0, 0, 0, 0]
    assert old.wrong.tolist() == [0, 0, 1, 0, 0, 0]
    assert old.mistakes.tolist() == [0, 1, 1, 1, 0, 0]
    np.testing.assert_array_equal(old.f1, [1, 2 / 3, 0, 0, np.nan, np.nan])
    assert old.worst().tolist() == [2, 3, 1, 0]
    assert old.worst(1).tolist() == [2]
    # All three lost one mistake: an image with nothing to find and nothing shown is as good as 1.
    assert most_improved(old, new).tolist() == [2, 3, 1]
    assert most_improved(new, old).tolist() == [0]


def test_images_add_up_to_the_whole():
    truth, sets = drawn(seed=6)
    typed = type_all(read_inputs(truth, **sets))["student"]
    judged = verdicts(typed, 0.35)
    images = score_images(judged)
    assert images.right.sum() == judged.right.sum()
    assert images.objects.sum() == (~typed.truth.crowd).sum()
    wrong = typed.counts(0.35)
    assert images.wrong.sum() == sum(
        wrong[kind] for kind in BoxType if BoxType.TRUE < kind < BoxType.IGNORED
    )
    worst = images.worst(30)
    assert np.all(np.diff(images.f1[worst]) >= 0)
    level = np.diff(images.f1[worst]) == 0
    assert np.all(np.diff(images.mistakes[worst])[level] <= 0)
