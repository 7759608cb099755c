"""What a matrix will take, from hand-made folders and a made-up clock."""

import json

import pytest

from kdviz.cli import OK, main
from kdviz.files import write_json_atomically
from kdviz.runs.matrix.attempts import Attempt
from kdviz.runs.matrix.plan import plan_matrix, span, table, wall_time
from kdviz.runs.matrix.probe import expected_megabytes, probe_step
from kdviz.runs.matrix.slots import CORE, free_slots, machine_slots, slots_for, taken_by
from kdviz.runs.matrix.spec import MatrixSpec, cells
from kdviz.runs.matrix.state import lay_out


@pytest.fixture
def content(tmp_path, monkeypatch, tiny):
    monkeypatch.chdir(tmp_path)
    student = tiny["student"]
    teacher = {"name": "fcos-mobilenetv2-c64", "weights": "teacher.pt"}
    return {
        "name": "tiny",
        "data": {"scenes": tiny["data"]},
        "pairs": {"fcos": {"student": student, "teacher": teacher}},
        "methods": ["none", "frs"],
        "seeds": [0, 1],
        "train": {**tiny["train"], "steps": 100},
    }


@pytest.fixture
def matrix(content):
    return MatrixSpec.model_validate(content)


def finish(matrix, index, images_per_second, megabytes=1.0):
    folder = lay_out(matrix) / cells(matrix)[index].spec.folder_name
    folder.mkdir()
    (folder / "last.ckpt").write_bytes(b"0" * round(megabytes * 2**20))
    told = {"metrics": {"AP": 0.5}, "speed": {"images_per_second": images_per_second}}
    write_json_atomically(folder / "result.json", told)


class TestWallTime:
    @pytest.mark.parametrize(
        ("runs", "slots", "expected"),
        [
            ([], 2, 0),
            ([(10, 1)] * 3, 1, 30),
            ([(10, 1)] * 3, 2, 20),
            ([(10, 1), (20, 1), (30, 1)], 2, 40),
            ([(10, 1), (10, 2), (5, 1)], 2, 25),  # two slots at once wait for both
        ],
    )
    def test_each_starts_when_it_finds_its_places(self, runs, slots, expected):
        assert wall_time(runs, slots) == expected

    def test_units(self):
        assert [span(x) for x in (3, 600, 7200)] == ["3 s", "10 min", "2.0 h"]


class TestPlan:
    def test_by_finished_runs(self, matrix):
        finish(matrix, 0, images_per_second=10)  # student, seed 0: 100 steps of 2 images in 20 s
        plan = plan_matrix(matrix, slots=2)
        assert plan.source == "finished runs"
        assert [need.seconds for need in plan.needs] == [20] * 4
        assert len(plan.to_do) == 3
        assert plan.seconds == 40
        assert 3 < plan.megabytes < 3.1
        finish(matrix, 1, images_per_second=5)
        assert [need.seconds for need in plan_matrix(matrix).needs] == [20, 40, 20, 40]

    def test_a_run_that_was_begun_takes_the_rest(self, matrix):
        finish(matrix, 0, images_per_second=10)
        folder = lay_out(matrix) / cells(matrix)[2].spec.folder_name
        folder.mkdir()
        (folder / "metrics.jsonl").write_text(json.dumps({"step": 74}) + "\n")
        assert plan_matrix(matrix).seconds == pytest.approx(20 + 5 + 20)

    def test_by_a_probe_of_each_pair_and_method_once(self, matrix):
        asked = []

        def probe(cell):
            asked.append(cell.method)
            return 0.1 if cell.method == "student" else 0.2

        plan = plan_matrix(matrix, slots=1, probe=probe)
        assert asked == ["student", "frs"]
        assert plan.source == "probe"
        assert plan.seconds == pytest.approx(2 * 10 + 2 * 20)
        assert not (plan.states[0].folder.parent).exists()  # nothing is written

    def test_a_real_probe(self, matrix):
        student, frs = cells(matrix)[:2]
        assert 0 < probe_step(student) < 60
        assert 0 < probe_step(frs) < 60
        # Adam keeps two numbers for each weight, and the student is exported beside them.
        assert 3 < expected_megabytes(student) < 30

    def test_in_words_and_as_json(self, matrix, content, tmp_path, capsys):
        finish(matrix, 0, images_per_second=10)
        told = table(plan_matrix(matrix, slots=2))
        assert "4 runs, 1 have a result" in told
        assert "to do: 40 s in 2 slots (60 s in one); times of finished runs" in told
        (tmp_path / "m.yaml").write_text(json.dumps(content))
        assert main(["matrix", "plan", "m.yaml", "--json", "--slots", "2"]) == OK
        printed = json.loads(capsys.readouterr().out)
        assert (printed["seconds"], printed["run_seconds"], printed["slots"]) == (40, 60, 2)
        assert [run["status"] for run in printed["runs"]] == ["waiting"] * 4


class TestSlots:
    def test_one_for_each_gpu_that_is_there(self, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
        assert machine_slots() == ["2", "5"]
        assert machine_slots(3) == ["2", "5", "2"]
        assert machine_slots(1) == ["2"]
        assert machine_slots(2, gpus=False) == [CORE, CORE]

    def test_else_cores(self, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        assert set(machine_slots()) == {CORE}
        with pytest.raises(ValueError, match="at least 1, not 0"):
            machine_slots(0)

    def test_a_run_on_several_devices_needs_as_many(self, content):
        content["train"]["devices"] = 2
        with pytest.raises(ValueError, match="takes 2 slots at once, and there are 1"):
            slots_for(MatrixSpec.model_validate(content), 1)
        assert slots_for(MatrixSpec.model_validate(content), 2) == [CORE, CORE]

    def test_what_is_left(self):
        assert free_slots(["0", "1", "0"], ["0"]) == ["1", "0"]
        assert free_slots([CORE, CORE], [CORE, CORE, CORE]) == []
        assert free_slots(["0"], [CORE]) == ["0"]

    def test_runs_of_others(self):
        import socket

        here = socket.gethostname()
        assert taken_by(Attempt(here, 1, "0,1"), 2) == ["0", "1"]
        assert taken_by(Attempt(here, 1, ""), 1) == [CORE]
        assert taken_by(Attempt("elsewhere", 1, "0"), 1) == []
        assert taken_by(None, 1) == [CORE]
