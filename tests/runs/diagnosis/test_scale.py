from kdviz.diagnosis.errors import BoxType, type_all
from kdviz.diagnosis.inputs import read_inputs
from kdviz.files import read_json
from kdviz.runs.diagnosis.scale import make_files, measure


def test_made_files_are_diagnosed_and_measured(tmp_path):
    files = make_files(tmp_path, images=40, objects=200, boxes=800, classes=5)
    assert list(files) == ["annotations", "student", "teacher", "distilled", "other"]
    inputs = read_inputs(**files)
    assert (len(inputs.truth.image_ids), len(inputs.truth.object_ids)) == (40, 200)
    for typed in type_all(inputs).values():
        tally = typed.counts()
        assert sum(tally.values()) == 800
        assert all(count > 5 for kind, count in tally.items() if kind < BoxType.IGNORED)
    told = measure(files, tmp_path / "out")
    assert told["cpu_seconds"] > 0
    assert told["seconds"] > 0
    assert 0.05 < told["peak_gb"] < 4
    assert read_json(tmp_path / "out" / "diagnosis.json")["objects"] == 200
