import pytest

from kdviz.runs.run import run
from kdviz.runs.spec import parse_spec
from kdviz.runs.weigh import weigh


def test_a_spec_is_weighed_and_nothing_is_written(tiny, workplace):
    tiny["name"] = "teacher"
    teacher = run(parse_spec(tiny)) / "student.safetensors"
    before = set((workplace / "runs").rglob("*"))
    tiny["teacher"] = {**tiny["student"], "weights": str(teacher), "min_ap": 0.0}
    tiny["methods"] = [{"name": "fgfi"}, {"name": "frs"}]
    report = weigh(parse_spec(tiny), batches=4)
    assert [row.term for row in report] == ["detection", "fgfi", "frs_feature", "frs_class"]
    assert all(row.proposed > 0 for row in report[1:])
    assert set((workplace / "runs").rglob("*")) == before


def test_nothing_to_weigh(tiny, workplace):
    with pytest.raises(ValueError, match="names no methods"):
        weigh(parse_spec(tiny))
