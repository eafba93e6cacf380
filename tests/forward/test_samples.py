"""A stage that loads a model by its manifest refuses one that the manifest does not describe."""

import pytest
from manifests import write_manifest

from caploc.forward.samples import model_of
from caploc.records import DataError

PLACE = {"model": "m", "dtype": "float64", "device": "cpu"}


def test_a_model_is_loaded_as_its_manifest_says(save_model, tmp_path):
    write_manifest(tmp_path / "manifest.json", save_model())
    lm = model_of(tmp_path / "manifest.json", PLACE | {"family": "llama"})
    assert str(lm.dtype) == "torch.float64"
    assert str(model_of(tmp_path / "manifest.json", {}).dtype) == "torch.float32"


@pytest.mark.parametrize(
    "wrong", [{"n_layers": 99}, {"n_neurons": 7}, {"family": "gptj"}, {"n_layers": None}]
)
def test_a_manifest_of_another_model_is_refused(save_model, tmp_path, wrong):
    write_manifest(tmp_path / "manifest.json", save_model(), **wrong)
    ((key, value),) = wrong.items()
    with pytest.raises(DataError, match=rf"{key} is {value!r}, .* delete it and run again"):
        model_of(tmp_path / "manifest.json", PLACE)


def test_a_family_that_the_configuration_misnames_is_told(save_model, tmp_path):
    write_manifest(tmp_path / "manifest.json", save_model())
    with pytest.raises(DataError, match=r"models\.m\.family is 'gptj', .*correct the config"):
        model_of(tmp_path / "manifest.json", PLACE | {"family": "gptj"})
