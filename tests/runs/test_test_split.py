"""The test split is scored once, at the end, and changes neither the training nor old hashes."""

import json

import pytest

from kdviz.runs.prepare import open_splits, open_test
from kdviz.runs.run import run
from kdviz.runs.spec import DataSpec, parse_spec


def test_a_run_scores_the_test_split_beside_validation(tiny, workplace):
    tiny["data"]["scenes"]["test"] = 3
    spec = parse_spec(tiny)
    result = json.loads((run(spec, workplace / "runs") / "result.json").read_text())
    assert result["test"].keys() == result["metrics"].keys()
    assert result["data"]["test"]["images"] == 3
    splits = {name: entry["hash"] for name, entry in result["data"].items()}
    assert len(set(splits.values())) == 3


def test_the_images_that_are_learned_from_do_not_depend_on_it(tiny, workplace):
    without = DataSpec(**tiny["data"])
    tiny["data"]["scenes"]["test"] = 3
    with_test = DataSpec(**tiny["data"])
    hashes = [[split.data_hash for split in open_splits(x)] for x in (without, with_test)]
    assert hashes[0] == hashes[1]


def test_without_one_there_is_none(tiny, workplace):
    data = DataSpec(**tiny["data"])
    assert open_test(data, open_splits(data)[0]) is None


def test_a_spec_without_it_keeps_its_hash(tiny):
    assert parse_spec(tiny).hash8 == "4031c1db"
    tiny["data"]["scenes"]["test"] = 3
    assert parse_spec(tiny).hash8 != "4031c1db"


def test_classes_must_agree(tiny, workplace):
    tiny["data"]["scenes"]["test"] = 3
    data = DataSpec(**tiny["data"])
    training = open_splits(data)[0]
    other = {**training.record, "categories": training.record["categories"][:-1]}
    with pytest.raises(ValueError, match="different classes"):
        open_test(data, type(training)(other, training.images_dir))
