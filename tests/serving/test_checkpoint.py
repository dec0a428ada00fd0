"""Checkpoints come back as they were, are whole or absent, and never run code."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file, save_file

import recbole_vagnn
from recbole_vagnn.errors import InputError
from recbole_vagnn.serving import checkpoint as checkpoint_module
from recbole_vagnn.serving.checkpoint import TEST, TRAIN, VALID, read_checkpoint
from recbole_vagnn.serving.rebuild import load_model
from recbole_vagnn.serving.snapshot import keep_model
from tests.serving.cases import build, load, result_of, scores_of, write, write_small

FILES = {
    "checkpoint.json",
    "model.safetensors",
    "vectors.safetensors",
    "propagation.safetensors",
    "history.safetensors",
    "users.parquet",
    "videos.parquet",
    "vloggers.parquet",
}
# u0's first held-out interaction is at 5 or later: the first pair is of training, the second is not.
FOLLOW = [["u0", "a0", 1], ["u0", "a1", 999], ["u1", "a2", 999], ["u1", "a2", 1]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("small"), FOLLOW)


@pytest.fixture(scope="module")
def original(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "VAGNN-toy"
    write(folder, data, "VAGNN")
    return folder


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(original, tmp_path / "copy"))


# --- content ----------------------------------------------------------------------------------------------------


def test_ids_history_creators_and_follows_are_those_of_the_data(data: Path, original: Path) -> None:
    found = read_checkpoint(original)
    _, splits, follow = load(data, "VAGNN")
    train = splits[0]
    assert {path.name for path in original.iterdir()} == FILES
    assert found.users.all_ids().to_pylist() == train.id2token("user_id", range(1, train.user_num)).tolist()
    assert found.videos.all_ids().to_pylist() == train.id2token("item_id", range(1, train.item_num)).tolist()
    history, wanted = found.history, set()
    for code, split in ((TRAIN, splits[0]), (VALID, splits[1]), (TEST, splits[2])):
        pairs = zip(split.inter_feat["user_id"].tolist(), split.inter_feat["item_id"].tolist(), strict=True)
        wanted |= {(user - 1, item - 1, code) for user, item in pairs}
    got = {
        (user, int(video), int(code))
        for user in range(len(found.users))
        for video, code in zip(history.seen.of(user, "videos"), history.seen.of(user, "split"), strict=True)
    }
    assert got == wanted
    names = [None if v < 0 else found.vloggers.ids([v])[0] for v in history.vlogger_of]
    tokens = train.id2token("vlogger_id", train.vlogger_of_item[1:])
    assert names == [None if token == "[PAD]" else token for token in tokens]
    items = np.asarray(train.inter_feat["item_id"])
    assert history.video_counts.tolist() == [int((items == v + 1).sum()) for v in range(len(found.videos))]
    owners = train.vlogger_of_item[items]
    assert history.vlogger_counts.tolist() == [int((owners == p + 1).sum()) for p in range(len(found.vloggers))]
    assert follow is not None
    assert follows_of(found) == {("u0", "a0", TRAIN), ("u0", "a1", TEST), ("u1", "a2", TRAIN)}


def follows_of(found: Any) -> set[tuple[str, str, int]]:
    follows = found.history.follows
    return {
        (found.users.ids([u])[0], found.vloggers.ids([p])[0], int(code))
        for u in range(len(found.users))
        for p, code in zip(follows.of(u, "vloggers"), follows.of(u, "split"), strict=True)
    }


def test_checkpoint_json_says_what_the_run_was(original: Path) -> None:
    content = json.loads((original / "checkpoint.json").read_text())
    assert (content["model"], content["dataset"]) == ("VAGNN", "toy")
    assert content["result"]["config"]["embedding_size"] == 5
    assert content["result"]["test"] == {"recall@5": 0.25}
    assert content["result"]["versions"]["recbole_vagnn"] == recbole_vagnn.__version__
    assert set(content["result"]["fingerprint"]) == {"train", "valid", "test", "creators"}


def test_a_copy_elsewhere_serves_the_models_scores_without_the_data(tmp_path: Path) -> None:
    data = write_small(tmp_path / "data")
    _, model, _ = write(tmp_path / "saved", data, "VAGNN")
    shutil.move(tmp_path / "saved", tmp_path / "other machine")
    shutil.rmtree(data / "toy")
    recommender = recbole_vagnn.load(tmp_path / "other machine")
    users, videos = recommender.vectors("users"), recommender.vectors("videos")
    np.testing.assert_allclose(users[1] @ videos[1].T, scores_of(model), atol=1e-9)


def test_the_model_comes_back_with_its_weights(data: Path, tmp_path: Path) -> None:
    _, model, _ = write(tmp_path / "c", data, "VAGNN", {"redraw_meta_paths": True})
    before = {name: tensor.float() for name, tensor in model.state_dict().items()}
    with torch.random.fork_rng():
        torch.manual_seed(5)
        np.random.seed(5)
        state, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()
        rebuilt = load_model(tmp_path / "c")
        assert torch.equal(torch.get_rng_state(), state)
        np.testing.assert_array_equal(np.random.get_state()[1], numbers)
    after = rebuilt.model.state_dict()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        torch.testing.assert_close(after[name].float(), tensor)
    np.testing.assert_allclose(scores_of(rebuilt.model), scores_of(model), rtol=1e-4, atol=1e-4)


# --- whole or absent --------------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_checkpoint_and_no_draft(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "saved" / "c"
    first, _, _ = write(folder, data, "VAGNN")
    config, splits, follow = load(data, "VAGNN")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_module.pq, "write_table", full)
        with pytest.raises(OSError, match="No space"):
            keep_model(folder, build(config, splits[0]), splits, follow, config, result_of(config, splits))
    assert [path.name for path in folder.parent.iterdir()] == ["c"]
    assert read_checkpoint(folder).manifest == first.manifest


def test_a_checkpoint_that_cannot_be_put_in_place_leaves_the_old_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _, _ = write(tmp_path / "c", data, "VAGNN")
    rename = Path.rename

    def refuse_drafts(self: Path, target: Path) -> Path:
        if self.suffix == ".tmp":
            raise OSError(13, "Permission denied")
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse_drafts)
        with pytest.raises(OSError, match="Permission denied"):
            write(tmp_path / "c", data, "VAGNN")
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert read_checkpoint(tmp_path / "c").manifest == first.manifest


def test_a_checkpoint_is_replaced_as_a_whole(data: Path, tmp_path: Path) -> None:
    first, _, _ = write(tmp_path / "c", data, "VAGNN")
    assert first.propagation is not None
    second, _, _ = write(tmp_path / "c", data, "BPR")
    assert second.manifest.model == "BPR"
    assert not (tmp_path / "c" / "propagation.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_folder_of_something_else_is_not_replaced(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(InputError, match="exists and is no checkpoint"):
        write(tmp_path / "mine", data, "BPR")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


# --- refusals ---------------------------------------------------------------------------------------------------


class _Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_renamed_pickle_is_refused_and_runs_nothing(copy: Path, tmp_path: Path, name: str, form: str) -> None:
    harm = tmp_path / "harm"
    if form == "pickle":
        (copy / name).write_bytes(pickle.dumps(_Malicious(harm)))
    else:
        torch.save({"state_dict": _Malicious(harm)}, copy / name)
    with pytest.raises(InputError, match=f"{name}.*(damaged|cannot be read)"):
        load_model(recbole_vagnn.load(copy).checkpoint)
    assert not harm.exists()
    pickle.loads(pickle.dumps(_Malicious(harm)))  # it would have
    assert harm.exists()


def test_a_pickle_that_options_name_as_a_pretrained_model_is_not_read(data: Path, tmp_path: Path) -> None:
    """RecBole's NeuMF reads the files of these options with torch.load while it is built."""
    harm, evil = tmp_path / "harm", tmp_path / "evil.pth"
    torch.save({"state_dict": _Malicious(harm)}, evil)
    write(tmp_path / "c", data, "NeuMF", spread_out=False)
    request = json.loads((tmp_path / "c" / "checkpoint.json").read_text())["request"]
    request |= {"use_pretrain": True, "mf_pretrain_path": str(evil), "mlp_pretrain_path": str(evil)}
    change(tmp_path / "c", request=request)
    with pytest.raises(InputError, match=r"trained from another model's \.pth, a pickle, which may run code"):
        recbole_vagnn.load(tmp_path / "c")
    assert not harm.exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_a_checkpoint_that_names_foreign_code_as_its_model_is_refused(copy: Path) -> None:
    change(copy, model="os:system")
    with pytest.raises(InputError, match="Unknown model 'os:system'"):
        load_model(copy)


def test_options_of_a_checkpoint_are_not_evaluated(copy: Path, tmp_path: Path) -> None:
    content = json.loads((copy / "checkpoint.json").read_text())
    content["request"]["learning_rate"] = f"__import__('os').mkdir({str(tmp_path / 'harm')!r})"
    (copy / "checkpoint.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="`learning_rate` is"):
        load_model(copy)
    assert not (tmp_path / "harm").exists()


def test_weights_set_nothing_that_the_model_does_not_keep(copy: Path) -> None:
    path = copy / "model.safetensors"
    arrays = load_file(path) | {"other.forward": np.zeros(1)}
    save_file(arrays, path, {"checkpoint": read_checkpoint(copy).manifest.checkpoint})
    with pytest.raises(InputError, match="has tensors that VAGNN does not keep"):
        load_model(copy)


@pytest.mark.parametrize("name", sorted(FILES - {"checkpoint.json", "model.safetensors"}))
def test_a_missing_or_cut_file_is_named(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=f"{name} is damaged"):
        read_checkpoint(copy)
    (copy / name).unlink()
    with pytest.raises(InputError, match=f"{name} does not exist: the checkpoint is incomplete"):
        read_checkpoint(copy)


@pytest.mark.parametrize("name", sorted(FILES - {"checkpoint.json"}))
def test_files_of_two_checkpoints_are_not_mixed(data: Path, copy: Path, tmp_path: Path, name: str) -> None:
    write(tmp_path / "other", data, "VAGNN")
    shutil.copy(tmp_path / "other" / name, copy / name)
    with pytest.raises(InputError, match=f"{name} belongs to another checkpoint"):
        load_model(read_checkpoint(copy))


def change(folder: Path, **values: Any) -> None:
    path = folder / "checkpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "other"}, "is not the checkpoint.json of a recbole-vagnn checkpoint"),
        ({"format_version": 2}, "has format 2, written by recbole-vagnn .*; this version reads format 1"),
        ({"vectors": {"size": "10", "vloggers": None}}, "`vectors.size` is missing or of the wrong type"),
        ({"vectors": {"size": 11, "vloggers": "model"}}, r"tensor 'users' has shape \(9, 10\), not 9 × 11"),
        ({"result": {}}, "`result.versions` is missing"),
        ({"channels": ["x"]}, r"`channels\[0\]` is no mapping"),
        ({"channels": [{"nodes": "user", "graph": 0, "start": 0, "stop": 5, "counted": True}]}, "nodes` is 'user'"),
        ({"channels": [{"nodes": "video", "graph": 0, "start": 7, "stop": 12, "counted": True}]}, "fills 7 to 12 of a"),
        ({"channels": [{"nodes": "video", "graph": 0, "start": 5, "stop": 0, "counted": True}]}, "fills 5 to 0 of a"),
        ({"format_version": 0, "result": ["x"]}, "written by recbole-vagnn of an unknown version"),
        ({"dataset": "../toy"}, "`dataset` is '../toy', which is no name of a data set"),
        ({"dataset": ".."}, "`dataset` is '..'"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(copy: Path, values: dict[str, Any], message: str) -> None:
    change(copy, **values)
    with pytest.raises(InputError, match=message):
        read_checkpoint(copy)


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_damaged_json_is_named(copy: Path, text: str) -> None:
    (copy / "checkpoint.json").write_text(text)
    with pytest.raises(InputError, match=r"checkpoint\.json cannot be read"):
        read_checkpoint(copy)


def test_offsets_that_do_not_ascend_are_refused(copy: Path) -> None:
    path = copy / "history.safetensors"
    arrays = load_file(path)
    arrays["seen.offsets"][3] = 0
    save_file(arrays, path, {"checkpoint": read_checkpoint(copy).manifest.checkpoint})
    with pytest.raises(InputError, match=r"seen\.offsets do not ascend"):
        read_checkpoint(copy)


def test_ids_that_are_fewer_than_rows_are_refused(copy: Path) -> None:
    path = copy / "users.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 5), path)
    with pytest.raises(InputError, match=r"users\.parquet has 5 ids, and 9 are needed"):
        read_checkpoint(copy)


@pytest.mark.parametrize("ids", [list(range(9)), [None, *"abcdefgh"]])
def test_ids_that_are_no_texts_are_refused(copy: Path, ids: list[Any]) -> None:
    path = copy / "users.parquet"
    token = {"checkpoint": read_checkpoint(copy).manifest.checkpoint}
    kind = pa.int64() if isinstance(ids[0], int) else pa.large_string()
    pq.write_table(pa.table({"id": pa.array(ids, kind)}).replace_schema_metadata(token), path)
    with pytest.raises(InputError, match=r"users\.parquet has 9 ids.*each a text"):
        read_checkpoint(copy)


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("history", "vlogger_of", 99),
        ("history", "vlogger_of", -2),
        ("history", "seen.videos", 99),
        ("history", "seen.videos", -1),
        ("history", "seen.split", 3),
        ("history", "follows.vloggers", 99),
        ("propagation", "0.edges.nodes", 17),
    ],
)
def test_rows_that_do_not_exist_are_refused(copy: Path, file: str, name: str, value: int) -> None:
    path = copy / f"{file}.safetensors"
    arrays = load_file(path)
    arrays[name][-1] = value
    save_file(arrays, path, {"checkpoint": read_checkpoint(copy).manifest.checkpoint})
    with pytest.raises(InputError, match=rf"{file}\.safetensors: tensor '{name}' has a value that is not from"):
        recbole_vagnn.load(copy).recommend(None, explain=True, what="vloggers")


def test_numbers_of_another_kind_are_refused(copy: Path) -> None:
    for file, name, dtype in (("history", "seen.videos", np.float32), ("vectors", "users", np.int64)):
        path = copy / f"{file}.safetensors"
        arrays, before = load_file(path), path.read_bytes()
        arrays[name] = arrays[name].astype(dtype)
        save_file(arrays, path, {"checkpoint": json.loads((copy / "checkpoint.json").read_text())["checkpoint"]})
        with pytest.raises(InputError, match=rf"tensor '{name}' has (F32|I64) numbers, not (whole|real) ones"):
            read_checkpoint(copy)
        path.write_bytes(before)


def test_what_is_no_checkpoint_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("nothing", "does not exist. Give the folder that a run printed"),
        ("empty", "has no checkpoint.json"),
        ("a.pth", "is a file; a checkpoint of recbole-vagnn is a folder .* A .pth is a pickle"),
    ):
        with pytest.raises(InputError, match=message):
            read_checkpoint(tmp_path / name)


def test_a_file_in_the_folder_or_the_pth_beside_it_means_the_checkpoint(original: Path) -> None:
    beside = original.with_name("VAGNN-toy.pth")
    beside.touch()
    for path in (original, original / "checkpoint.json", beside, str(original), beside.with_suffix(".last")):
        assert read_checkpoint(path).folder == original


# --- data -------------------------------------------------------------------------------------------------------


def test_other_data_and_other_order_are_refused(tmp_path: Path) -> None:
    data = write_small(tmp_path / "data")
    found, _, _ = write(tmp_path / "c", data, "VAGNN")
    inter = data / "toy" / "toy.inter"
    header, *lines = inter.read_text().splitlines()
    inter.write_text("\n".join([header, *lines[:-1]]) + "\n")
    with pytest.raises(InputError, match=r"was trained on other data than .*: .*differ"):
        load_model(found)
    # The same rows, users the other way round: the split is the same, the numbers of the ids are not.
    inter.write_text("\n".join([header, *reversed(lines)]) + "\n")
    with pytest.raises(InputError, match="rows are in another order"):
        load_model(found)
    shutil.rmtree(data / "toy")
    with pytest.raises(InputError, match=r"The data of toy are not at .*--data_path"):
        load_model(found)


def test_the_data_may_be_elsewhere(data: Path, original: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "toy", tmp_path / "moved" / "toy")
    rebuilt = load_model(original, tmp_path / "moved")
    assert rebuilt.config["data_path"] == str(tmp_path / "moved" / "toy")


def test_weights_of_another_size_are_refused(copy: Path) -> None:
    content = json.loads((copy / "checkpoint.json").read_text())
    content["request"]["embedding_size"] = 6
    (copy / "checkpoint.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="do not fit the VAGNN of this version"):
        load_model(copy)
