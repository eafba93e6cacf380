"""Which edges a decoder has, and which of a set of edges lie on a path from input to output.

Nodes that write into the residual stream (*sources*): the embedding, every attention head, every
FFN. Nodes that read from it (*readers*): the query of every head, key and value of every key/value
head, every FFN, the logits. An edge leads from a source to a later reader; what it carries is the
output of the source. Where block layer l has H heads and G key/value heads (`offset`s first):

    sources   embedding | heads of layer 0, FFN 0 | heads of layer 1, FFN 1 | ...
    readers   queries, keys, values of layer 0, FFN 0 | ... of layer 1 | ... | logits

The FFN reads the heads of its own layer unless the block is parallel. Edges are numbered reader by
reader, sources ascending, so that a set of edges is one boolean vector without impossible entries.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EdgeGraph"]

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class EdgeGraph:
    """Size of a decoder, as far as its edges depend on it.

    Attributes:
        n_layers: blocks.
        n_heads: attention heads (queries) in a block.
        n_kv_heads: key/value heads in a block; divides `n_heads`.
        parallel: does the FFN read the block's input, without the heads beside it?
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    parallel: bool

    @property
    def n_sources(self) -> int:
        """Embedding, heads and FFNs."""
        return 1 + self.n_layers * (self.n_heads + 1)

    @property
    def readers_per_layer(self) -> int:
        """Queries, keys, values, FFN."""
        return self.n_heads + 2 * self.n_kv_heads + 1

    @property
    def n_readers(self) -> int:
        """All readers with the logits, which are the last one."""
        return self.n_layers * self.readers_per_layer + 1

    @property
    def n_edges(self) -> int:
        """Length of a vector of edges."""
        return int(self.sources_read.sum())

    @property
    def sources_read(self) -> NDArray[np.int64]:
        """(reader,) how many sources, the first ones, each reader can read."""
        before = 1 + np.arange(self.n_layers) * (self.n_heads + 1)
        counts = np.repeat(before[:, None], self.readers_per_layer, axis=1)
        if not self.parallel:
            counts[:, -1] += self.n_heads
        return np.append(counts.ravel(), self.n_sources)

    @property
    def reader_layer(self) -> NDArray[np.int64]:
        """(reader,) layer of each reader; the logits stand behind the last layer."""
        return np.arange(self.n_readers) // self.readers_per_layer

    @property
    def edge_layer(self) -> NDArray[np.int64]:
        """(edge,) layer of the reader of each edge."""
        return np.repeat(self.reader_layer, self.sources_read)

    @property
    def possible(self) -> Bools:
        """(reader, source) True where there is an edge."""
        return np.arange(self.n_sources) < self.sources_read[:, None]

    def readers(self, layer: int) -> slice:
        """Readers of one layer: queries, keys, values, FFN."""
        return slice(layer * self.readers_per_layer, (layer + 1) * self.readers_per_layer)

    def heads(self, layer: int) -> slice:
        """Sources that are the heads of one layer; its FFN is the next source."""
        first = 1 + layer * (self.n_heads + 1)
        return slice(first, first + self.n_heads)

    def grid(self, edges: Bools) -> Bools:
        """(reader, source) form of a set of edges.

        Raises:
            ValueError: not one entry per edge of this graph.
        """
        if edges.shape != (self.n_edges,):
            raise ValueError(f"{edges.shape} edges; this graph has {self.n_edges}")
        result = np.zeros((self.n_readers, self.n_sources), dtype=edges.dtype)
        result[self.possible] = edges
        return result

    def connected(self, edges: Bools) -> Bools:
        """Those of a set of edges that lie on a path from the embedding to the logits.

        Args:
            edges: (edge,) True where the edge is in the set.

        Returns:
            (edge,) True where it also lies on such a path inside the set.

        Raises:
            ValueError: not one entry per edge of this graph.
        """
        grid = self.grid(edges)
        reached = self._reached(grid)
        useful = self._useful(grid)
        return (grid & reached & useful[:, None])[self.possible]

    def _reached(self, grid: Bools) -> Bools:
        """(source,) can something flow from the embedding into this source?"""
        reached = np.zeros(self.n_sources, dtype=bool)
        reached[0] = True
        for layer in range(self.n_layers):
            heads, ffn = self.heads(layer), self.heads(layer).stop
            rows = grid[self.readers(layer)]
            filled = (rows[:-1] & reached).any(axis=1)
            q, k, v = np.split(filled, [self.n_heads, self.n_heads + self.n_kv_heads])
            # A head receives through any of its three inputs.
            reached[heads] = q | np.repeat(k | v, self.n_heads // self.n_kv_heads)
            reached[ffn] = (rows[-1] & reached).any()
        return reached

    def _useful(self, grid: Bools) -> Bools:
        """(reader,) does what this reader reads flow on to the logits?"""
        useful = np.zeros(self.n_readers, dtype=bool)
        useful[-1] = True
        for layer in reversed(range(self.n_layers)):
            readers, heads = self.readers(layer), self.heads(layer)
            useful[readers.stop - 1] = (grid[:, heads.stop] & useful).any()
            of_head = (grid[:, heads] & useful[:, None]).any(axis=0)
            of_group = of_head.reshape(self.n_kv_heads, -1).any(axis=1)
            useful[readers.start : readers.stop - 1] = np.concatenate([of_head, of_group, of_group])
        return useful
