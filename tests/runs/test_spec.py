from pathlib import Path

import pytest

from kdviz.methods import FGFI, TermWeight
from kdviz.runs.spec import load_spec, parse_spec


@pytest.fixture
def spec_file(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(
        "name: one\ndata: {path: somewhere}\nstudent: {name: fcos-resnet18-c64}\n"
        "teacher: {name: fcos-resnet50, weights: t.pth}\nmethods: [{name: fgfi}]\n"
    )
    return path


def test_overrides_reach_into_mappings_and_lists(spec_file):
    spec = load_spec(
        spec_file,
        [
            "train.steps=30",
            "train.warmup_steps=3",
            "methods.0.options.psi=0.3",
            "methods.0.weights.fgfi={value: 0.5, start: 2}",
            "data.limit=5",
        ],
    )
    assert spec.train.steps == 30
    assert spec.methods[0].options == {"psi": 0.3}
    weight = spec.methods[0].schedule(FGFI.weights)["fgfi"]
    assert (weight.at(1, 30), weight.at(2, 30)) == (0, 0.5)
    assert spec.data.limit == 5


def test_a_written_spec_changes_no_schedule(spec_file, tmp_path):
    """Written out, a weight that is not given reads null; what was published still holds."""
    change = "methods=[{name: gkd, weights: {gkd_background: {value: 0.5}, gkd_soft: {start: 3}}}]"
    spec = load_spec(spec_file, [change])
    written = tmp_path / "written.yaml"
    written.write_text(spec.to_yaml())
    published = {"gkd_background": TermWeight(4.0, decay="linear"), "gkd_soft": TermWeight(1.0)}
    for each in (spec, load_spec(written)):
        schedule = each.methods[0].schedule(published)
        assert schedule["gkd_background"] == TermWeight(0.5, decay="linear")
        assert schedule["gkd_soft"] == TermWeight(1.0, start=3)


def test_terms_that_a_method_does_not_have(spec_file):
    spec = load_spec(spec_file, ["methods.0.weights.frs={value: 1}"])
    with pytest.raises(ValueError, match=r"'fgfi' has no term 'frs'; its terms are \['fgfi'\]"):
        spec.methods[0].schedule(FGFI.weights)


def test_hash_follows_content_alone(spec_file, tmp_path):
    spec = load_spec(spec_file)
    written = tmp_path / "written.yaml"
    written.write_text(spec.to_yaml())
    assert load_spec(written).hash8 == spec.hash8
    assert spec.folder_name == f"one-{spec.hash8}"
    assert load_spec(spec_file, ["train.seed=1"]).hash8 != spec.hash8


def test_hashes_of_runs_made_long_ago(spec_file):
    """Keys that came later count only where they are used."""
    recipe = Path(__file__).parents[2] / "notebooks" / "recipes" / "scenes" / "fgfi.yaml"
    assert load_spec(recipe).hash8 == "4e81b4f7"
    plain = load_spec(spec_file)
    assert load_spec(spec_file, ["train.eval_every=0"]).hash8 == plain.hash8
    assert load_spec(spec_file, ["train.eval_every=9"]).hash8 != plain.hash8


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=3", r"train.stepz: unknown key; known are seed, steps, batch_size"),
        ("train.steps=many", "train.steps: .*integer"),
        ("train.steps", "reads key=value"),
        ("methods.4.options.psi=1", "below 1, the length of the list"),
        ("methods.0.name=fgfy", "no method 'fgfy'; there are .*fgfi"),
        ("methods.0.weights.fgfi={valu: 1}", "unknown key; known are value, start, ramp, decay"),
        ("teacher=null", "fgfi needs a teacher"),
        ("data={}", "needs either path .* or scenes"),
        ("name=../up", "name: "),
        ("studnt.name=x", "studnt: unknown key; known are name, data, student"),
    ],
)
def test_refuses(spec_file, override, message):
    with pytest.raises(ValueError, match=message):
        load_spec(spec_file, [override])


def test_file_problems(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no spec"):
        load_spec(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match="must hold a mapping"):
        load_spec(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    with pytest.raises(ValueError, match=r"broken.yaml is not readable YAML"):
        load_spec(tmp_path / "broken.yaml")


def test_every_problem_is_named_at_once():
    with pytest.raises(ValueError, match="spec is not a run:") as told:
        parse_spec({"name": "x", "data": {"path": "p", "size": 3}, "train": {"lr": -1}})
    lines = str(told.value).splitlines()
    assert len(lines) == 4  # data.size, student missing, train.lr


class TestLook:
    SCENES = "data={scenes: {size: 64, look: {objects: [1, 2], noise: 0}}}"

    def test_it_is_how_the_scenes_are_drawn(self, spec_file):
        scenes = load_spec(spec_file, [self.SCENES]).data.scenes
        assert (scenes.config.size, scenes.config.objects, scenes.config.noise) == (64, (1, 2), 0)

    def test_without_one_nothing_changes(self, spec_file):
        plain, empty = (
            load_spec(spec_file, [f"data={{scenes: {{size: 64{look}}}}}"])
            for look in ("", ", look: {}")
        )
        assert plain.hash8 == empty.hash8 != load_spec(spec_file, [self.SCENES]).hash8

    @pytest.mark.parametrize(
        ("look", "message"),
        [("{colour: 3}", r"no \['colour'\] to set in look; known are"), ("{noise: 99}", "noise")],
    )
    def test_what_cannot_be_drawn(self, look, message, spec_file):
        with pytest.raises(ValueError, match=message):
            load_spec(spec_file, [f"data={{scenes: {{look: {look}}}}}"])
