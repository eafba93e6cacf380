"""Products of float32 matrices by oneDNN, against float64; everything else is torch's own."""

import subprocess
import sys

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from caploc.forward import processor as _processor
from caploc.forward import products
from caploc.forward.products import _addmm, _mm, mkl_is_slow

LARGE = ((130, 96, 100), (64, 2000, 33), (1, 1200, 1000), (1100, 1, 1000))


def matrices(rows, inner, columns, dtype=torch.float32):
    generator = torch.Generator().manual_seed(rows)
    one = torch.randn(rows, inner, generator=generator, dtype=dtype)
    return one, torch.randn(inner, columns, generator=generator, dtype=dtype)


def turned(matrix):
    """The same numbers, columns side by side in memory."""
    return matrix.T.contiguous().T


def close(found, wanted):
    assert found.dtype == torch.float32 and found.shape == wanted.shape
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=2e-6 * wanted.abs().max())


@pytest.fixture
def calls(monkeypatch):
    """How often oneDNN was asked."""
    found, own = [], products._onednn
    monkeypatch.setattr(products, "_onednn", lambda *a: found.append(1) or own(*a))
    return found


@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("first", [torch.clone, turned])
@pytest.mark.parametrize("second", [torch.clone, turned])
def test_large_products_equal_those_in_float64(shape, first, second, calls):
    a, b = matrices(*shape)
    bias = torch.linspace(-3, 3, shape[2])
    wanted = a.double() @ b.double()
    close(_mm(first(a), second(b)), wanted)
    close(_addmm(bias, first(a), second(b)), wanted + bias.double())
    assert len(calls) == 2


def test_parts_of_larger_matrices(calls):
    a, b = matrices(260, 192, 200)
    close(_mm(a[::2, ::2], b[::2, 50:]), a[::2, ::2].double() @ b[::2, 50:].double())
    assert calls


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_of_numbers_stay_bit_for_bit(dtype, calls):
    a, b = matrices(130, 96, 100, dtype)
    assert torch.equal(_mm(a, b), torch.mm(a, b, out=a.new_empty(130, 100)))
    assert torch.equal(_addmm(b[0], a, b), torch.addmm(b[0], a, b, out=a.new_empty(130, 100)))
    assert not calls


@pytest.mark.parametrize("shape", [(3, 4, 5), (0, 4, 5), (3, 0, 5), (3, 4, 0)])
def test_small_and_empty_matrices(shape, calls):
    a, b = matrices(*shape)
    assert torch.equal(_mm(a, b), a @ b)
    assert not calls


def test_scaled_and_broadcast_sums(calls):
    a, b = matrices(130, 96, 100)
    whole = matrices(130, 1, 100)[0] @ torch.ones(1, 100)
    wanted = 0.5 * whole.double() + 2 * (a.double() @ b.double())
    close(_addmm(whole, a, b, beta=0.5, alpha=2), wanted)
    close(_addmm(whole, a, b), whole.double() + a.double() @ b.double())
    assert not calls


@pytest.mark.parametrize("other", [(95, 100), (100, 96)])
def test_matrices_that_do_not_fit_are_refused_as_ever(other):
    a = torch.zeros(300, 96)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        _mm(a, torch.zeros(other))
    with pytest.raises(RuntimeError, match="dtype"):
        _mm(a, torch.zeros(96, 100, dtype=torch.float64))


IN_A_PROCESS = """
import torch, warnings
warnings.simplefilter("error")
from caploc.attribution import products
calls, own = [], products._onednn
products._onednn = lambda *a: calls.append(1) or own(*a)
products.use_onednn(); products.use_onednn()
torch.manual_seed(0)
linear = torch.nn.Linear(192, 256)
x = torch.randn(5, 64, 192, requires_grad=True)
(linear(x) ** 2).sum().backward()
assert len(calls) == 3, calls  # forward, and both gradients
twice = torch.nn.Linear(192, 256).double()
twice.load_state_dict({k: v.double() for k, v in linear.state_dict().items()})
y = x.detach().double().requires_grad_()
(twice(y) ** 2).sum().backward()
for one, two in ((x.grad, y.grad), (linear.weight.grad, twice.weight.grad),
                 (linear.bias.grad, twice.bias.grad)):
    assert (one - two).abs().max() < 2e-6 * two.abs().max()
with torch.inference_mode():
    assert linear(x).shape == (5, 64, 256)
assert len(calls) == 4
"""


def test_a_whole_process_uses_them_forward_and_backward():
    subprocess.run([sys.executable, "-c", IN_A_PROCESS], check=True)


@pytest.mark.parametrize(
    ("capability", "vendor", "slow"),
    [("AVX512", "AuthenticAMD", True), ("AVX512", "GenuineIntel", False),
     ("AVX2", "AuthenticAMD", False)],
)  # fmt: skip
def test_only_where_mkl_is_slow(capability, vendor, slow, monkeypatch, tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text(f"vendor_id : {vendor}\n")
    monkeypatch.setattr(products, "_CPUINFO", file)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    for library in (torch.backends.mkl, torch.backends.mkldnn):
        monkeypatch.setattr(library, "is_available", lambda: True)
    assert mkl_is_slow() is slow
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not mkl_is_slow()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    file.unlink()
    assert not mkl_is_slow()


@pytest.mark.parametrize("slow", [True, False])
def test_stages_use_them_where_it_helps(slow, monkeypatch):
    used = []
    monkeypatch.setattr(_processor, "mkl_is_slow", lambda: slow)
    monkeypatch.setattr(_processor, "use_onednn", lambda: used.append(1))
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    _processor.use_processor(3)
    assert used == [3, 1][: 1 + slow]


def test_transposed_projections_with_bias(monkeypatch, calls):
    """GPT-2 calls addmm itself."""
    torch.manual_seed(0)
    config = GPT2Config(n_layer=1, n_embd=64, n_head=2, vocab_size=300, n_positions=64)
    model = GPT2LMHeadModel(config).eval()
    ids = torch.randint(300, (8, 60))
    with torch.no_grad():
        wanted = model(ids).logits
        monkeypatch.setattr(torch, "addmm", _addmm_of(torch.addmm))
        found = model(ids).logits
    assert calls
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def _addmm_of(own):
    def product(c, a, b, **keys):
        return own(c, a, b, **keys) if keys else _addmm(c, a, b)

    return product
