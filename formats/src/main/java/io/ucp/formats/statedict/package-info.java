/// State dicts that `torch.save` wrote: one file, or several with an index.
///
/// ```
/// {NAME: tensor, ..}                                    the file's object itself, or
/// {"model" | "state_dict" | "module" | "model_state_dict": {NAME: tensor, ..},
///  "optimizer" | "optim" | "optimizer_state_dict": {"state": {..}, "param_groups": [..]}, ..}
/// ```
///
/// Dicts inside the dict join their keys with `.`. Tensors that view the same elements of one
/// storage are one parameter under several names. `state` is keyed by names, or by numbers that the
/// `param_groups` list in the order in which the optimizer was given the parameters.
///
/// Source: torch `nn/modules/module.py` (`state_dict`), `optim/optimizer.py` (`state_dict`),
/// `distributed/checkpoint/state_dict.py` (`_get_fqns`), `nn/parallel/distributed.py`;
/// huggingface_hub `serialization/_torch.py`.
@NullMarked
package io.ucp.formats.statedict;

import org.jspecify.annotations.NullMarked;
