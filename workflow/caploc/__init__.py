"""caploc: find, test and act on the few neurons of a language model that carry a capability.

Names below are imported on first use, so `import caploc` costs nothing and never pulls in torch.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

_EXPORTS = {
    "Located": "caploc.api.located",
    "draw_map": "caploc.api.located",
    "locate": "caploc.api.locating",
    "effect": "caploc.api.measuring",
    "evaluate": "caploc.api.measuring",
    "replaced_by_mean": "caploc.api.acting",
    "scaled": "caploc.api.acting",
    "silenced": "caploc.api.acting",
    "apply": "caploc.api.training",
    "train_located": "caploc.api.training",
    "DataError": "caploc.records",
    "Sample": "caploc.records",
    "snakefile": "caploc.shipped",
    "read_table": "caploc.files.store",
    "iou": "caploc.measures.agreement",
    "overlap": "caploc.measures.agreement",
    "outliers": "caploc.measures.masks",
    "read_mask": "caploc.files.masks",
    "Delta": "caploc.interventions.delta",
    "read_delta": "caploc.interventions.delta",
    "load_model": "caploc.models.loading",
    "encode": "caploc.models.tokens",
    "attribute": "caploc.attribution.public",
    "attribute_neurons": "caploc.attribution.neuronwise",
}

try:
    __version__ = version("caploc")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [*_EXPORTS, "__version__"]


def __getattr__(name: str) -> object:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'caploc' has no attribute {name!r}; it offers {sorted(__all__)}")
