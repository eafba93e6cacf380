"""Seeded damages of every file of a run: none is taken by a job and not told by `caploc verify`.

The files are those of a small run: samples of an own data file, a model that was trained, one of
somebody else's folder, scores of both, tables, and the partial work of a job that was killed.
"""

import json
import os
import random
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from caploc.files import store
from caploc.jobs import receipts
from caploc.jobs.digests import content_digest, file_digest
from caploc.jobs.job import Job
from caploc.jobs.partial_work import partial_work, sealed
from caploc.jobs.verification import BAD, findings
from caploc.records import DataError

N = 100
RUN = Path("results/r")
DATA, FOLDER = Path("own/data.jsonl"), Path("own/model")


def jobs():
    """The jobs of today, told the content of what a user may edit."""
    samples = [RUN / f"samples/{task}/locate.parquet" for task in "ab"]
    models = [RUN / f"models/{model}/manifest.json" for model in ("m", "own")]
    scores = [RUN / f"scores/m/{task}.parquet" for task in "ab"]
    content = content_digest(DATA)
    table = {"csv": RUN / "tables/base.csv", "parquet": RUN / "tables/base.parquet"}
    return [
        *(Job("prepare_samples", {"task": t, "content": content}, "c1", {}, {"locate": path})
          for t, path in zip("ab", samples, strict=True)),
        Job("train_model", {"model": "m"}, "c2", {}, {"manifest": models[0]}),
        Job("fetch_model", {"content": content_digest(FOLDER)}, "c3", {}, {"manifest": models[1]}),
        *(Job("attribute_shard", {"task": task}, "c4",
              {"samples": [samples[i]], "manifest": models}, {"scores": scores[i]})
          for i, task in enumerate("ab")),
        Job("tabulate_base", {}, "c5", {"parts": scores}, table),
        UNFINISHED,
    ]  # fmt: skip


UNFINISHED = Job("attribute_shard", {"task": "c"}, "c4",
                 {"samples": [RUN / "samples/a/locate.parquet"]},
                 {"scores": RUN / "scores/m/c.parquet"})  # fmt: skip


def model_folder(folder, rng):
    folder.mkdir(parents=True)
    save_file({"w": rng.normal(size=(8, 50))}, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"architectures": ["Toy"]}))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0, "b": 1}}}))


def make(job, rng):
    for path in job.outputs.values():
        if path.suffix == ".parquet":
            table = pa.table({"x": rng.normal(size=200), "text": ["words"] * 200})
            store.write_table(table, path, {"origin": job.origin()}, ["x"])
        elif path.suffix == ".csv":
            store.write_text("a,b\n" + "1,2.5\n" * 50, path)
        else:
            folder = path.parent / "hf" if job.stage == "train_model" else FOLDER.resolve()
            if job.stage == "train_model":
                model_folder(folder, rng)
            files = {p.name: file_digest(p) for p in receipts.model_files(folder)}
            place = "hf" if job.stage == "train_model" else str(folder)
            store.write_json({"path": place, "files": files, "origin": job.origin()}, path)
    receipts.write_receipts(job, job.origin())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run and an unfinished job, in a folder that every damage gets anew."""
    folder = tmp_path_factory.mktemp("whole") / "here"
    folder.mkdir()
    rng = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        model_folder(FOLDER, rng)
        DATA.write_text('{"question": "a", "answer": "b"}\n' * 20)
        for job in jobs()[:-1]:
            make(job, rng)
        with suppress(KeyboardInterrupt), partial_work(UNFINISHED) as work:
            for i in range(3):
                with sealed(work / f"{i}.parquet") as path:
                    store.write_table(pa.table({"x": rng.normal(size=50)}), path, {}, ["x"])
            raise KeyboardInterrupt
    shutil.move(folder, folder.with_name("kept"))
    return folder


def others(path):
    """Files of the same kind elsewhere."""
    return [p for p in files() if p.suffix == path.suffix and p.read_bytes() != path.read_bytes()]


def files():
    return sorted(p for p in Path().rglob("*") if p.is_file())


def flip(path, draw):
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(content)


def another(path, draw):
    found = others(path)
    return draw.choice(found).read_bytes() if found else b""


def value(path, draw):
    """Another digit or letter: what an editor would change."""
    content = bytearray(path.read_bytes())
    known = [i for i, c in enumerate(content) if chr(c).isalnum()]
    i = draw.choice(known)
    content[i] = draw.choice([c for c in b"0123456789abcdef" if c != content[i]])
    return bytes(content)


CONTENT = {
    "bit": flip, "letter": value, "content of another": another,
    "shorter": lambda path, draw: path.read_bytes()[: draw.randrange(path.stat().st_size)],
    "longer": lambda path, draw: path.read_bytes() + draw.randbytes(draw.randint(1, 9)),
    "zeros": lambda path, draw: path.read_bytes()[:-8] + bytes(8),
}  # fmt: skip
READ = ("added_tokens.json", "adapter_model.safetensors", "x.safetensors", "vocab.txt", "a.jinja")


def harm(draw):
    """One damage; what was done, in words."""
    kind = draw.choice([*CONTENT, "swapped", "swapped with receipts", "added", "added", "link"])
    path = draw.choice(files())
    if kind in CONTENT:
        status, content = path.stat(), CONTENT[kind](path, draw)
        if content == path.read_bytes():
            content += b"\n"
        path.write_bytes(content)
        if draw.random() < 0.5:  # whoever hides it sets the time back
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif kind == "added":
        folder = draw.choice(sorted({p.parent for p in files() if p.parent != DATA.parent}))
        path = folder / draw.choice(READ)
        path.write_bytes(draw.randbytes(20))
    elif kind == "link":
        target = draw.choice([p for p in files() if p.read_bytes() != path.read_bytes()])
        path.unlink()
        path.symlink_to(target.resolve())
    else:
        path = draw.choice([p for p in files() if receipts.receipt_of(p).is_file()])
        other = draw.choice([p for p in others(path) if receipts.receipt_of(p).is_file()] or [path])
        if other == path:
            path.unlink()
            path.write_bytes(b"")
            return "emptied", path
        pairs = [(path, other)]
        pairs += [tuple(map(receipts.receipt_of, (path, other)))] if "receipts" in kind else []
        for one, two in pairs:
            content = one.read_bytes()
            one.write_bytes(two.read_bytes())
            two.write_bytes(content)
    return kind, path


def taken(before):
    """Whether every job would begin, and the one that was killed go on with other content."""
    for job in jobs():
        try:
            receipts.check_inputs(job)
        except DataError as error:
            assert "\n" not in str(error)
            return False
    with suppress(KeyboardInterrupt), partial_work(UNFINISHED) as work:
        found = {p: p.read_bytes() for p in work.glob("*.parquet")}
        if not found.items() <= before.items():
            return True
        raise KeyboardInterrupt
    return any(before.get(p) != p.read_bytes() for p in files() if ".work" not in p.parent.name)


def seen():
    try:
        return any(finding.kind in (*BAD, "left over") for finding in findings(jobs()))
    except DataError:
        return True


def test_no_damage_is_taken_and_unseen(whole, monkeypatch):
    told = {}
    for seed in range(-1, N):
        shutil.rmtree(whole, ignore_errors=True)
        shutil.copytree(whole.with_name("kept"), whole, symlinks=True)
        monkeypatch.chdir(whole)
        before = {path: path.read_bytes() for path in files()}
        done = harm(random.Random(seed)) if seed >= 0 else ("nothing", Path())
        verified, accepted = seen(), taken(before)
        told[seed] = (*map(str, done), verified, accepted)
        if seed < 0:
            assert (verified, accepted) == (False, False), "a run without damage is right"
    assert [damage for damage in told.values() if damage[3] and not damage[2]] == []
    # Most are found by verify alone; what it passes over is partial work, which is made again.
    unseen = [damage for damage in told.values() if not damage[2]]
    assert all(".work/" in damage[1] for damage in unseen[1:]), unseen
    assert len({damage[0] for damage in told.values()}) > 8
