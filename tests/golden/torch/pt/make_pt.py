"""Writes the .pt files of this folder with the real PyTorch: make_pt.py FOLDER.

Every float tensor holds the values ((i * 7 + seed) % 61 - 30) / 64 for its elements i in row-major order, which all
float types hold exactly.
"""

import collections
import os
import sys

import numpy as np
import torch
import torch.nn as nn

FOLDER = sys.argv[1]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MODEL_ARGS = dict(n_embd=64, n_layers=1, n_heads=4, vocab_size=96, block_size=32, dropout=0.1, layer_norm_eps=1e-5,
                  n_kv_heads=2, rope_theta=10000.0)
# The seed of a parameter is its place in this list.
PARAMETERS = [
    ("tok_embeddings.weight", (96, 64)),
    ("layers.0.attention.norm.weight", (64,)),
    ("layers.0.attention.qkv_proj.weight", (128, 64)),
    ("layers.0.attention.out_proj.weight", (64, 64)),
    ("layers.0.feed_forward.norm.weight", (64,)),
    ("layers.0.feed_forward.gate_proj.weight", (256, 64)),
    ("layers.0.feed_forward.up_proj.weight", (256, 64)),
    ("layers.0.feed_forward.down_proj.weight", (64, 256)),
    ("norm.weight", (64,)),
]


def values(shape, seed, dtype=torch.float32):
    n_elements = int(np.prod(shape))
    return (((torch.arange(n_elements) * 7 + seed) % 61 - 30) / 64).reshape(shape).to(dtype)


def put(module, name, tensor, is_buffer=False):
    *path, leaf = name.split(".")
    for part in path:
        if not hasattr(module, part):
            module.add_module(part, nn.Module())
        module = getattr(module, part)
    if is_buffer:
        module.register_buffer(leaf, tensor)
    else:
        module.register_parameter(leaf, tensor)


def make_model(dtype, prefix=""):
    model = nn.Module()
    for seed, (name, shape) in enumerate(PARAMETERS):
        put(model, prefix + name, nn.Parameter(values(shape, seed, dtype)))
    put(model, prefix + "rotary_emb.inv_freq", values((8,), 1), is_buffer=True)
    put(model, prefix + "lm_head.weight", model.get_parameter(prefix + "tok_embeddings.weight"))
    return model.to(DEVICE)


def checkpoint(model, optimizer_class):
    """What Nikityyy/lille train.py saves, with an optimizer of the norms only, so that the files stay small."""
    norms = [parameter for _, parameter in model.named_parameters() if parameter.dim() < 2]
    groups = [{"params": norms[:2], "weight_decay": 0.2}, {"params": norms[2:], "weight_decay": 0.0}]
    optimizer = optimizer_class(groups, lr=0.0, betas=(0.9, 0.95))
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.5)
    for parameter in norms:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return {"model_state_dict": model.state_dict(), "optimizer_state_dict": optimizer.state_dict(),
            "model_args": dict(MODEL_ARGS), "iter_num": 500, "best_val_loss": torch.zeros(4).mean()}


class Attack:
    def __reduce__(self):
        return (os.system, ("true",))


def save(value, name, **options):
    torch.save(value, os.path.join(FOLDER, name), **options)


save(checkpoint(make_model(torch.float32), torch.optim.AdamW), "best_model.pt")
save(checkpoint(make_model(torch.bfloat16, "_orig_mod."), torch.optim.Adam), "ckpt_final.pt")

base = values((6, 8), 3)
parameter = nn.Parameter(values((3, 2), 5))
variety = collections.OrderedDict(
    t=base.t(), slice=base[1:5:2, ::3], a=base[0], whole=base,
    f16=values((5,), 1, torch.float16), bf16=values((5,), 2, torch.bfloat16), f64=values((5,), 3, torch.float64),
    i64=torch.arange(3), u8=torch.arange(3, dtype=torch.uint8), bool=torch.tensor([True, False]),
    scalar=values((), 9), empty=torch.zeros(0, 4), p=parameter, p2=parameter)
save(variety, "variety.pt")
save(variety, "protocol4.pt", pickle_protocol=4)
save(variety, "legacy.pt", _use_new_zipfile_serialization=False)
save({"model_state_dict": {"x": torch.ones(1).expand(1000, 1000)}}, "expanded.pt")
save({"model_state_dict": variety, "e": Attack()}, "system.pt")
save({"model_state_dict": variety, "loss": np.float32(1.5)}, "numpy.pt")
save(nn.Linear(2, 3), "module.pt")
save({"x": torch.ones(4).to(torch.float8_e4m3fn)}, "float8.pt")
save({"x": torch.ones(4, dtype=torch.complex64), "d": torch.float32}, "complex.pt")
torch.jit.save(torch.jit.script(nn.Linear(2, 3)), os.path.join(FOLDER, "jit.pt"))
torch.serialization.set_crc32_options(False)
save(variety, "no_crc.pt")
