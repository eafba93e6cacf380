"""A wrong setting ends in one line that names the key, before any job starts.

What the line says of every kind of mistake: tests/test_config.py; here, what YAML makes of values.
"""

import pytest
import yaml

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("run: {sead: 1}", "config run: unknown key 'sead'; allowed: converged_samples, "),
        ("masks: {s3: {sigma: 1e-4}}", "write 1.0e-4, without quotes"),
        ("masks: {no: {sigma: 1.0}}", "key false is not text"),
        ("run: {tasks: [no]}", "put text in quotes"),
        ("masks: {S3: {sigma: 1.0}}", 'config masks: found "S3", expected text matching'),
        ("models: {tiny: {repo: a/b}}", "config models.tiny: found train and repo; exactly one"),
        ("tasks: {mixture: {plugin: generic}}", "reserved name"),
    ],
)  # fmt: skip
def test_wrong_settings(fresh, tmp_path, overlay, message):
    test = yaml.safe_load((fresh.folder / "config/test.yaml").read_text())
    base = tmp_path / "base.yaml"
    base.write_text(yaml.safe_dump(test))
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(overlay)
    result = fresh.call("--dry-run", "--configfile", str(base), str(wrong), config=None)
    lines = [line for line in result.stderr.splitlines() if line.startswith("caploc: ")]
    assert result.returncode != 0
    assert len(lines) == 1, result.stderr
    assert message in lines[0]
    assert "Traceback" not in result.stderr
