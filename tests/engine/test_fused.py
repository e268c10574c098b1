from __future__ import annotations

import torch
from torch import nn

from nbtransfer.engine.fused import fused_linears

CPU = torch.device("cpu")


def test_fused_layers_agree_with_plain_ones_and_are_put_back():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(48, 96), nn.GELU(), nn.Linear(96, 3))
    x = torch.randn(5, 7, 48)
    with torch.inference_mode():
        expected = model(x)
        with fused_linears(model, CPU):
            assert "forward" in vars(model[0])
            torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-6)
    assert "forward" not in vars(model[0])
    model(x).sum().backward()
    assert model[0].weight.grad is not None


def test_layers_are_put_back_after_an_error():
    model = nn.Sequential(nn.Linear(4, 4))
    try:
        with fused_linears(model, CPU):
            raise MemoryError
    except MemoryError:
        pass
    assert "forward" not in vars(model[0])


def test_other_devices_and_half_precision_are_left_alone():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4).to(torch.bfloat16))
    with fused_linears(model, torch.device("cuda")):
        assert "forward" not in vars(model[0])
    with fused_linears(model, CPU):
        assert "forward" not in vars(model[1])
