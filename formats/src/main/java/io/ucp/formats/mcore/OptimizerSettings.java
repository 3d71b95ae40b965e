package io.ucp.formats.mcore;

import io.ucp.formats.RefusedException;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyTuple;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// What the optimizers of the source are, apart from their tensors.
///
/// @param distributed each rank has a part of the states
/// @param masters 16-bit weights have fp32 masters
/// @param ordered groups have one order on every rank; releases before that had the group first
///   that a rank's first parameter is of
/// @param groups number of a group ([Groups]) -> its settings
/// @param outer the first optimizer's dict around `optimizer`, without what is made anew (a grad
///   scaler); empty where there is none
public record OptimizerSettings(
        boolean distributed,
        boolean masters,
        boolean ordered,
        Groups rule,
        Map<Integer, PyDict> groups,
        PyDict outer) {
    private static final String GROUPS = "param_groups";

    /// @return nothing where no optimizer was saved
    public static Optional<OptimizerSettings> of(SourceModel source) {
        PyDict root = source.first().root();
        Optional<PickleValue> value = root.find("optimizer").filter(v -> !v.isNone());
        if (value.isEmpty()) {
            return Optional.empty();
        }
        List<PickleValue> parts = value.get().asSequence().orElse(List.of(value.get()));
        PickleValue first = parts.getFirst();
        PickleValue inner = first.find("optimizer").orElse(first);
        boolean wrapped = first.find("optimizer").isPresent();
        boolean masters =
                first.find("fp32_from_fp16_params").isPresent()
                        || first.find("fp32_from_fp16").isPresent();
        boolean distributed = wrapped && !masters && inner.find("state").isEmpty();
        Groups rule = Groups.of(source.arguments());
        Map<Integer, PyDict> groups = new LinkedHashMap<>();
        List<PickleValue> dense = list(inner);
        for (PickleValue group : dense) {
            PyDict settings = group.asDict().orElse(PyDict.empty()).without("params");
            groups.putIfAbsent(number(settings, false, source), settings);
        }
        if (dense.size() == 1) {
            rule = rule.allTogether();
            groups.putIfAbsent(0, dense.getFirst().asDict().orElse(PyDict.empty()));
        }
        if (parts.size() > 1) {
            for (PickleValue group : list(parts.get(1).find("optimizer").orElse(parts.get(1)))) {
                PyDict settings = group.asDict().orElse(PyDict.empty()).without("params");
                groups.putIfAbsent(number(settings, true, source), settings);
            }
        }
        boolean ordered = dense.stream().anyMatch(g -> g.find("default_config").isPresent());
        PyDict outer =
                wrapped
                        ? first.asDict()
                                .orElse(PyDict.empty())
                                .without("optimizer")
                                .without("fp32_from_fp16_params")
                                .without("fp32_from_fp16")
                        : PyDict.empty();
        return Optional.of(
                new OptimizerSettings(distributed, masters, ordered, rule, groups, outer));
    }

    private static List<PickleValue> list(PickleValue inner) {
        return inner.find(GROUPS).flatMap(PickleValue::asSequence).orElse(List.of());
    }

    /// By what the settings say; on a first stage, whose first parameters are decayed, every
    /// release has them right.
    private static int number(PyDict settings, boolean experts, SourceModel source) {
        boolean decayed = settings.find("wd_mult").map(v -> v.asDouble().orElse(1)).orElse(1.0) > 0;
        Optional<PickleValue> rate = source.arguments().find("decoupled_lr");
        boolean own =
                rate.isPresent()
                        && (settings.find("is_decoupled_lr")
                                        .flatMap(PickleValue::asBool)
                                        .orElse(false)
                                || settings.find("max_lr").equals(rate));
        return (experts ? 2 : 0) + (decayed ? 0 : 1) + (own ? 4 : 0);
    }

    /// Of a group that the source need not have: experts get an optimizer of their own, with the
    /// settings that they had among the rest, or lose it.
    public PyDict settings(int number) {
        PyDict own = groups.get(number);
        if (own != null) {
            return own;
        }
        PyDict other = groups.get(number ^ 2);
        if (other == null) {
            throw new RefusedException(
                    Roles.LEGACY,
                    "no settings of optimizer group %d, of %s".formatted(number, groups.keySet()),
                    "a group of `param_groups` for every parameter",
                    "--to universal keeps what there is");
        }
        return other.with("is_expert_parallel", new PyBool((number & 2) != 0));
    }

    /// The groups of one optimizer: all that the job has, in one order, or those that these
    /// parameters are of, in the order in which they come first.
    ///
    /// @param members of a rank, in the order of the model
    /// @param everywhere groups of parameters of any rank
    public List<Integer> groupsOf(
            List<HeldShard> members, boolean expertOptimizer, List<Integer> everywhere) {
        List<Integer> numbers = new ArrayList<>();
        if (ordered) {
            numbers.addAll(everywhere);
        }
        for (HeldShard held : members) {
            int number = number(held, expertOptimizer);
            if (!numbers.contains(number)) {
                numbers.add(number);
            }
        }
        return numbers;
    }

    public int number(HeldShard held, boolean expertOptimizer) {
        return rule.number(held.facts().name(), held.shape().rank(), expertOptimizer);
    }

    /// `(torch.bfloat16, torch.float32)`: the dtypes of parameters and gradients that a buffer is
    /// named by.
    public static PyTuple dtypes(String parameters, boolean fullGradients) {
        return PyTuple.of(
                List.of(
                        new PyGlobal("torch", parameters),
                        new PyGlobal("torch", fullGradients ? "float32" : parameters)));
    }
}
