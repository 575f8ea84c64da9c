"""Bundled models, read back from their files, hear natively what they hear in onnxruntime."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgeseq import Event, Keyword, Session, Speech, Stream, Token
from edgeseq.assets import bundled, clip
from edgeseq.errors import ConfigError, ExportError, ManifestError
from edgeseq.models import Chain, ModelConfig
from edgeseq.sources import open_audio
from edgeseq_export import read_back as module
from edgeseq_export.native import export_native
from edgeseq_export.read_back import is_model_file, load_weights, read_back
from tests.runtime.native_files import need_engine


def samples() -> npt.NDArray[np.float32]:
    path = clip("words.wav")
    assert path is not None
    with closing(open_audio(str(path))) as source:
        return np.concatenate([block.samples for block in source.blocks()])


def both(name: str, folder: Path, given: npt.NDArray[np.float32] | bytes) -> list[list[Event]]:
    """Events in onnxruntime and in the engine."""
    need_engine()
    path = folder / f"{name}.esq"
    manifest = export_native(read_back(bundled()[name]), path)
    theirs = Session(bundled()[name])
    assert manifest.labels == theirs.manifest.labels
    assert manifest.decoding == theirs.manifest.decoding
    ours, origin = manifest.provenance, theirs.manifest.provenance
    assert (ours.data, ours.licence) == (origin.data, origin.licence)
    # An older file does not name the options that came after it.
    told, first = dict(ours.config), dict(origin.config)
    models = [ModelConfig.from_dict(config.pop("model")) for config in (told, first)]
    assert models[0] == models[1]
    assert told == first
    found = []
    for session in (theirs, Session(path)):
        stream = Stream(session)
        found.append(stream.push(given) + stream.flush())
    return found


@pytest.mark.parametrize("name", ["words-gru", "words-transformer"])
def test_the_same_keywords_at_nearly_the_same_times(name: str, tmp_path: Path) -> None:
    theirs, ours = both(name, tmp_path, samples())
    words = [[e for e in events if isinstance(e, Keyword)] for events in (theirs, ours)]
    assert [e.label for e in words[0]] == [e.label for e in words[1]]
    assert len(words[0]) >= 6
    for a, b in zip(*words, strict=True):
        # Two steps. Scores are those of the frame that fires, and differ more where it shifts.
        assert abs(a.time - b.time) <= 0.0401


def test_speech_begins_and_ends_at_nearly_the_same_times(tmp_path: Path) -> None:
    theirs, ours = both("vad-gru", tmp_path, samples())
    assert [type(e) for e in theirs] == [type(e) for e in ours]
    assert len(theirs) >= 12
    for a, b in zip(theirs, ours, strict=True):
        assert isinstance(a, Speech)
        assert isinstance(b, Speech)
        assert a.active == b.active
        assert abs(a.time - b.time) <= 0.0501


@pytest.mark.parametrize("name", ["bytes-gru", "bytes-transformer"])
def test_text_is_foreseen_as_well(name: str, tmp_path: Path) -> None:
    path = clip("passage.txt")
    assert path is not None
    theirs, ours = (
        np.array([e.bits for e in events if isinstance(e, Token) and e.bits is not None])
        for events in both(name, tmp_path, path.read_bytes())
    )
    assert len(theirs) == len(ours) > 200
    assert abs(theirs.mean() - ours.mean()) < 0.01 * theirs.mean()


def test_weights_in_a_wrong_place_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gates of one product in another order: the comparison with the file fails."""
    fill = module._fill

    def wrong(model: Chain, constants: module.Constants) -> None:
        fill(model, constants)
        rnn = model.layers["encoder"].rnn
        rnn.weight_hh_l0.data = rnn.weight_hh_l0.data.roll(len(rnn.weight_hh_l0) // 3, 0)

    monkeypatch.setattr(module, "_fill", wrong)
    with pytest.raises(ExportError, match=r"outputs that differ by .* give the checkpoint"):
        read_back(bundled()["vad-gru"])


def test_other_files_are_refused(tmp_path: Path) -> None:
    from tests import graphs

    with pytest.raises(ExportError, match=r"int8 \.onnx files of one frame a step"):
        read_back(graphs.gru_model(tmp_path / "float.onnx"))


def test_training_may_start_from_a_bundled_model(tmp_path: Path) -> None:
    """By name or by file; the head goes by label, and the new checkpoint says where it began."""
    from edgeseq.training.config import Recipe
    from edgeseq.training.run import facts_of, start_from

    base = load_weights(Path("words-gru"))
    path = bundled()["words-gru"]
    assert base.facts["int8_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    again = load_weights(path)
    recipe = Recipe.load(Path(__file__).parents[2] / "recipes" / "digits-gru.toml")
    model = recipe.model.build()
    start_from(model, recipe.labels, base)
    own, given = model.state_dict(), again.model.state_dict()
    encoder = [name for name in own if name.startswith("layers.encoder.")]
    assert all((own[name] == given[name]).all() for name in encoder)
    head = "layers.head.linear.weight"
    row, old = recipe.labels.index("seven"), base.facts["labels"].index("seven")
    assert (own[head][row] == given[head][old]).all()
    init = facts_of(recipe, base)["init"]
    assert init["name"] == "words-gru"
    assert init["int8_sha256"] == base.facts["int8_sha256"]


def test_a_checkpoint_is_no_model_file(tmp_path: Path) -> None:
    assert is_model_file(Path("vad-gru"))
    assert is_model_file(Path("any.onnx"))
    assert not is_model_file(Path("model.safetensors"))
    with pytest.raises(ConfigError, match="cannot be read as a checkpoint"):
        load_weights(tmp_path / "model.safetensors")
    with pytest.raises(ManifestError, match="no such model file"):
        load_weights(tmp_path / "m.onnx")
