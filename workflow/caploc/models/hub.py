"""Model files from the Hugging Face hub or its local cache, pinned to one commit."""

from pathlib import Path

from huggingface_hub import errors, snapshot_download

from caploc.records import DataError

__all__ = ["hub_file", "snapshot"]

_SMALL = ["*.json", "*.txt", "tokenizer.model", "*.jinja"]
_WEIGHTS = "*.safetensors"


def snapshot(repo: str, revision: str | None = None) -> tuple[Path, str]:
    """Download a model (or find it in the cache) and say which commit it is.

    Args:
        repo: hub id, e.g. ``EleutherAI/gpt-j-6b``.
        revision: commit, tag or branch; None means ``main``.

    Returns:
        Folder of the files, and the full commit they belong to.

    Raises:
        DataError: not found, no permission, or no network and not in the cache; the message says
            what to do.
    """
    folder = _download(repo, revision or "main", [*_SMALL, _WEIGHTS])
    if any(folder.glob(_WEIGHTS)):
        return folder, folder.name
    raise DataError(
        f"{repo} at {revision or 'main'}: no file matches {_WEIGHTS}; other formats (pickled "
        "pytorch_model.bin) can run any program when they are read, so they are refused. Name a "
        "revision that has safetensors (many repositories have one among their pull requests, "
        "refs/pr/<n>), or convert the model once where you trust it, with from_pretrained and "
        "save_pretrained of transformers, and name that folder as `path:`. If they are in the "
        "cache only in part, download them once with a network"
    )


def hub_file(repo: str, name: str, revision: str | None = None) -> tuple[Path, str]:
    """Download one file of a model repository (or find it in the cache), and its commit.

    Raises:
        DataError: as `snapshot`, or no such file.
    """
    folder = _download(repo, revision or "main", [name])
    if not (folder / name).is_file():
        raise DataError(f"{repo} at {revision or 'main'}: holds no file {name!r}")
    return folder / name, folder.name


def _download(repo: str, revision: str, patterns: list[str]) -> Path:
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=patterns))
    except errors.GatedRepoError:
        raise DataError(
            f"{repo}: access is gated. Accept its conditions at https://huggingface.co/{repo}, "
            "then put a token of the same account into the environment variable HF_TOKEN (or run "
            "`hf auth login`), or name a local folder as `path:`"
        ) from None
    except errors.RevisionNotFoundError:
        raise DataError(
            f"{repo}: no revision {revision!r}; use a commit, tag or branch that its page lists"
        ) from None
    except errors.RepositoryNotFoundError:
        raise DataError(
            f"{repo}: no such model on the hub, or it is private; check the spelling of `repo:`, "
            "and set HF_TOKEN if it is private"
        ) from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, OSError) as error:
        raise DataError(
            f"{repo} at {revision}: not in the local cache, and the hub cannot be reached "
            f"({str(error).splitlines()[0]}). Run once with a network (HF_HUB_OFFLINE unset), or "
            "name a local folder as `path:`"
        ) from None
    except errors.HFValidationError as error:
        raise DataError(f"`repo:` {repo!r} is not a hub id ({error})") from None
