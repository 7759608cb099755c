from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.detection import RetinaNet

from kdviz.detectors import build, load_weights
from kdviz.detectors.loading import load_state, read_state

NAME = "retinanet-shufflenetv2x0.5-c8"


@pytest.fixture
def saved():
    torch.manual_seed(1)
    return build(NAME, num_classes=3).model.state_dict()


@pytest.mark.parametrize("ending", ["safetensors", "pth", "pt"])
def test_a_file_comes_back_bit_for_bit(tmp_path, saved, ending):
    path = tmp_path / f"student.{ending}"
    save_file(saved, path) if ending == "safetensors" else torch.save(saved, path)
    torch.manual_seed(2)
    parts = build(NAME, num_classes=3, weights=path)
    assert all(
        torch.equal(values, saved[name]) for name, values in parts.model.state_dict().items()
    )
    assert parts.loaded_tensors == (len(saved), len(saved))


def test_half_precision_files_serve_float32_models(tmp_path, saved):
    path = tmp_path / "half.safetensors"
    save_file({k: v.half() if v.is_floating_point() else v for k, v in saved.items()}, path)
    parts = build(NAME, num_classes=3, weights=str(path))
    state = parts.model.state_dict()
    assert {values.dtype for values in state.values()} == {torch.float32, torch.int64}
    name = "head.classification_head.cls_logits.weight"
    assert torch.equal(state[name], saved[name].half().float())


def test_a_training_checkpoint_is_opened(tmp_path, saved):
    path = tmp_path / "last.pth"
    torch.save({"epoch": 3, "model": saved}, path)
    assert read_state(path).keys() == saved.keys()


def test_names_of_torchvisions_first_checkpoints_are_understood(saved):
    old = {
        name.replace("blocks.0.0.", "blocks.0.")
        .replace("blocks.1.0.", "blocks.1.")
        .replace("blocks.2.0.", "blocks.2."): values
        for name, values in saved.items()
    }
    assert old.keys() != saved.keys()
    parts = build(NAME, num_classes=3)
    assert load_state(parts.model, old, "old") == (len(saved), len(saved))


def test_another_architecture_is_described_and_leaves_the_model_alone(tmp_path, saved):
    other = build("retinanet-shufflenetv2x0.5-c16", num_classes=3)
    before = {name: values.clone() for name, values in other.model.state_dict().items()}
    wrong = {name: values for name, values in saved.items() if "bbox_reg" not in name}
    path = tmp_path / "wrong.safetensors"
    save_file(wrong | {"extra.weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="checkpoint of another architecture") as error:
        load_weights(other, path)
    message = str(error.value)
    assert "2 missing (head.regression_head.bbox_reg.weight" in message
    assert "1 unexpected (extra.weight)" in message
    assert "(8, 48, 1, 1) for (16, 48, 1, 1), " in message
    assert ", ...)" in message
    assert other.loaded_tensors == (0, len(before))
    after = other.model.state_dict()
    assert all(torch.equal(after[name], values) for name, values in before.items())


def test_damaged_missing_and_strange_files_are_named(tmp_path, saved):
    whole = tmp_path / "whole.safetensors"
    save_file(saved, whole)
    pickled = tmp_path / "whole.pth"
    torch.save(saved, pickled)
    for source in (whole, pickled):
        cut = tmp_path / f"cut{source.suffix}"
        cut.write_bytes(source.read_bytes()[:2000])
        empty = tmp_path / f"empty{source.suffix}"
        empty.write_bytes(b"")
        text = tmp_path / f"text{source.suffix}"
        text.write_text("<html>not found</html>" * 9)
        for path in (cut, empty, text):
            with pytest.raises(ValueError, match=f"{path.name} cannot be read as weights"):
                read_state(path)
    with pytest.raises(FileNotFoundError, match=r"no weights at .*absent\.pth"):
        read_state(tmp_path / "absent.pth")
    with pytest.raises(ValueError, match=r"ending in .*safetensors"):
        read_state(tmp_path / "student.onnx")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds no state dict"):
        read_state(tmp_path / "list.pth")


def test_a_pickle_cannot_run_code(tmp_path, saved):
    path = tmp_path / "model.pth"
    torch.save(build(NAME, num_classes=3).model, path)
    assert RetinaNet.__name__ in path.read_bytes().decode("latin1")
    with pytest.raises(ValueError, match="cannot be read as weights"):
        read_state(path)
