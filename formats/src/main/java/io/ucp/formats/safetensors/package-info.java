/// `safetensors` files and the folders of models that hold them.
///
/// ```
/// u64 n                      bytes of the header, at most 100,000,000
/// n bytes                    JSON, then spaces, so that the data begins at a multiple of 8
///   {"__metadata__": {text: text}, NAME: {"dtype": .., "shape": [..], "data_offsets": [begin, end]}, ..}
/// data                       row-major, little-endian; offsets count from its first byte
/// ```
///
/// Sorted by their offsets, the tensors tile the data: no hole, no overlap, nothing behind the
/// last. The writer orders them by dtype, widest first, then by name, which aligns each. A model of
/// several files has an index, `model.safetensors.index.json` ([io.ucp.formats.hub.WeightMap]).
///
/// torch's DCP writes pieces of tensors in this form: `__metadata__` has `DCP_SHARDING_INFO`, which
/// says of each tensor of the file where in the whole it begins.
///
/// Source: safetensors `src/tensor.rs` (`Metadata`, `Dtype`, `prepare`),
/// `bindings/python/src/lib.rs`, `bindings/python/py_src/safetensors/torch.py`; torch
/// `torch/distributed/checkpoint/hf_storage.py`, `filesystem.py`, `_hf_utils.py`.
@NullMarked
package io.ucp.formats.safetensors;

import org.jspecify.annotations.NullMarked;
