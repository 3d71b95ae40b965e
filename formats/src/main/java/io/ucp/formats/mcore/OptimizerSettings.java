package io.ucp.formats.mcore;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.formats.training.MegatronJob;
import io.ucp.formats.training.TrainingState;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.stream.Collectors;

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

    /// Of a state that is to be written; nothing where it has no optimizer that Megatron-LM would
    /// load.
    ///
    /// @param made whether another framework trained it
    /// @param distributed what such a state's optimizer is to be
    public static Optional<OptimizerSettings> of(
            WriteRequest request,
            SourceModel source,
            boolean made,
            boolean distributed,
            List<String> losses) {
        if (made) {
            TrainingState training = TrainingState.of(request);
            List<String> unplaced = new ArrayList<>();
            if (training.skippedSteps().orElse(0) > 0) {
                unplaced.add("skipped_steps");
            }
            training.lost("Megatron-LM", unplaced).ifPresent(losses::add);
            return MadeSettings.of(request, training, distributed, losses);
        }
        boolean states =
                request.parameters().stream().anyMatch(p -> p.states().containsKey("exp_avg"))
                        || request.parameters().stream().anyMatch(p -> p.optimizerGroup() >= 0);
        Optional<OptimizerSettings> settings = states ? of(source) : Optional.empty();
        String names =
                request.parameters().stream()
                        .flatMap(p -> p.states().keySet().stream())
                        .filter(s -> !s.equals("weight"))
                        .distinct()
                        .sorted()
                        .collect(Collectors.joining(", "));
        if (states && settings.isEmpty() && !names.isEmpty()) {
            losses.add(
                    "states of the optimizer (%s): the source has no settings of one that"
                                    .formatted(names)
                            + " Megatron-LM would load; it begins with new ones (--no-load-optim)");
        }
        return settings;
    }

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
        return MegatronJob.number(settings, experts, source.arguments().find("decoupled_lr"));
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

    /// Groups that parameters of any rank are of, in the order of their settings in the source.
    public List<Integer> everywhere(
            Collection<ParameterFacts> parameters, Grid grid, boolean experts) {
        TreeSet<Integer> numbers = new TreeSet<>();
        for (ParameterFacts p : parameters) {
            boolean own = !grid.expertOptimizer() || Names.isExpert(p.name()) == experts;
            if (own && p.trainable() && !p.buffer()) {
                numbers.add(rule.number(p.name(), p.shape().rank(), experts));
            }
        }
        List<Integer> sorted = new ArrayList<>();
        groups.keySet().stream().filter(numbers::remove).forEach(sorted::add);
        sorted.addAll(numbers);
        return sorted;
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

    /// Whether what the source has is what this kind of optimizer needs.
    public static Optional<String> widened(Iterable<ParameterFacts> parameters) {
        for (ParameterFacts p : parameters) {
            DType weight = p.states().get("weight");
            if (p.trainable()
                    && !p.buffer()
                    && !p.states().containsKey("fp32")
                    && weight != null
                    && weight != DType.FLOAT32) {
                return Optional.of(
                        "fp32 masters are the %s weights, widened: the source has no others"
                                .formatted(weight.torchName()));
            }
        }
        return Optional.empty();
    }
}
