import pytest
import torch

from caploc.catalogues.training import Architecture
from caploc.training.optimisation import build_model
from caploc.training.packing import IGNORED, pack
from caploc.training.tokenizer import build_tokenizer

SEQUENCES = [([5, 6, 7], 1), ([8, 9, 10, 11, 12], 3), ([13, 14], 0), ([15, 16, 17, 18], 2)]


def test_every_token_once_and_rows_full():
    packed = pack(SEQUENCES, length=8, padding=0)
    assert packed.ids.shape == (2, 8)
    assert sorted(packed.ids[packed.ids > 0].tolist()) == list(range(5, 19))
    # longest first, each into the first row with room
    assert packed.ids[0].tolist() == [8, 9, 10, 11, 12, 5, 6, 7]
    assert packed.ids[1].tolist() == [15, 16, 17, 18, 13, 14, 0, 0][: packed.ids.shape[1]]


def test_positions_and_targets():
    packed = pack(SEQUENCES[:2], length=8, padding=0)
    assert packed.positions[0].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    # 3: the fourth token is the first that is learned; of the other sequence all but the first are
    assert packed.targets[0].tolist() == [IGNORED, IGNORED, 11, 12, IGNORED, 6, 7, IGNORED]


def test_rows_are_as_long_as_the_fullest():
    assert pack(SEQUENCES[:1], length=50, padding=0).ids.shape == (1, 3)


def test_mask_is_causal_within_a_sequence():
    mask = pack(SEQUENCES[:2], length=8, padding=0).mask[0, 0]
    owner = [1] * 5 + [2] * 3
    for i in range(8):
        for j in range(8):
            assert mask[i, j].item() is (owner[i] == owner[j] and j <= i)


def test_padding_sees_itself():
    mask = pack([([1, 2, 3, 4], 1), ([5, 6], 1)], length=4, padding=0).mask
    assert mask.any(-1).all()


def test_too_long():
    with pytest.raises(ValueError, match="a sequence of 5 tokens does not fit rows of 4"):
        pack(SEQUENCES, length=4, padding=0)


def test_packed_logits_equal_those_of_each_sequence_alone():
    tokenizer = build_tokenizer([" ".join("abcdefghijklmno")], 16)
    model = build_model(Architecture(2, 16, 24, 4, 2, 16), tokenizer, 0).eval()
    packed = pack(SEQUENCES, length=8, padding=0)
    with torch.no_grad():
        logits = model(
            input_ids=packed.ids, position_ids=packed.positions, attention_mask=packed.mask
        ).logits
        for ids, _ in SEQUENCES:
            alone = model(input_ids=torch.tensor([ids])).logits[0]
            row, start = next(
                (r, s)
                for r in range(packed.ids.shape[0])
                for s in range(packed.ids.shape[1])
                if packed.ids[r, s : s + len(ids)].tolist() == ids
            )
            found = logits[row, start : start + len(ids)]
            torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)
