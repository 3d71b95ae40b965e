"""Lets Megatron run on CPUs alone: what asks for CUDA gets the CPU, and neither Triton nor a fused optimizer has to be there.

Triton's kernels run on no CPU, and what is decorated with them stays as it is. There is an Adam that keeps `step` in a group, as Apex's and
Transformer Engine's do on GPUs; torch's, which Megatron takes without these, keeps one of every parameter."""
import argparse
import contextlib
import importlib.machinery
import sys
import types

import torch
import torch._dynamo  # noqa: F401, looks for the true Triton
import torch._inductor.compile_fx  # noqa: F401
from torch.overrides import TorchFunctionMode


def _nothing(*given, **named):
    return given[0] if len(given) == 1 and callable(given[0]) and not named else lambda function: function


class _Triton(types.ModuleType):
    __version__ = "3.0.0"

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _nothing


def _module(name, kind=types.ModuleType):
    sys.modules[name] = kind(name)
    sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)
    return sys.modules[name]


_module("triton", _Triton).language = _module("triton.language", _Triton)


class FusedAdam(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, bias_correction=True, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, **_):
        settings = {"lr": lr, "bias_correction": bias_correction, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, settings)


class _OnCpu(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.Tensor.cuda:
            return args[0]
        if function is torch.Tensor.type and len(args) == 1 and not kwargs:
            return function(*args).replace("torch.", "torch.cuda.", 1)  # by which Megatron's optimizers know dtypes
        if str(kwargs.get("device", "")).startswith("cuda"):
            kwargs = {**kwargs, "device": "cpu"}
        return function(*map(_cpu, args), **kwargs)


def _cpu(value):
    return "cpu" if isinstance(value, (str, torch.device)) and str(value).startswith("cuda") else value


class _Stream:
    def __getattr__(self, name):
        return lambda *_, **__: None


for name, value in {
    "current_device": lambda: "cpu",
    "device_count": lambda: 0,
    "synchronize": lambda *_: None,
    "empty_cache": lambda: None,
    "manual_seed": lambda _: None,
    "get_rng_state": lambda *_, **__: torch.get_rng_state(),
    "set_rng_state": lambda *_, **__: None,
    "Stream": lambda *_, **__: _Stream(),
    "Event": lambda *_, **__: _Stream(),
    "current_stream": lambda *_: _Stream(),
    "stream": lambda _: contextlib.nullcontext(),
    "get_device_capability": lambda *_: (10, 0),
    "get_device_properties": lambda *_: types.SimpleNamespace(major=10, multi_processor_count=1),
}.items():
    setattr(torch.cuda, name, value)
torch.cuda.random.get_rng_state = torch.cuda.get_rng_state
torch.nn.Module.cuda = lambda self, *_: self


class _Optional(argparse.BooleanOptionalAction):
    """Python 3.14 asks for no type, which Megatron gives."""

    def __init__(self, *given, type=None, **named):
        super().__init__(*given, **named)


argparse.BooleanOptionalAction = _Optional


def start():
    """In every process, before anything is made."""
    _OnCpu().__enter__()
    import megatron.core.optimizer as optimizer
    from megatron.core.optimizer import distrib_optimizer

    optimizer.Adam, optimizer.USING_PYTORCH_OPTIMIZER = FusedAdam, False
    distrib_optimizer.Adam, distrib_optimizer.HAVE_APEX_OR_TE = FusedAdam, True
