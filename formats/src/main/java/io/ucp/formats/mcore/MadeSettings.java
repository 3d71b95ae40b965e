package io.ucp.formats.mcore;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.training.Steps;
import io.ucp.formats.training.TrainingState;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/// The settings of Megatron-LM's optimizer for a state that another framework trained. Its groups
/// are Megatron-LM's own, decayed parameters and others, for it loads no others; each has the
/// settings that its members had.
///
/// Source: Megatron-LM `core/optimizer/__init__.py` (`_get_param_groups`),
/// `core/optimizer/optimizer.py` (`param_group_identifier_keys`).
final class MadeSettings {
    /// What Adam keeps of a parameter.
    private static final Set<String> ADAM = Set.of("exp_avg", "exp_avg_sq");

    private static final String DECAY = "weight_decay";
    private static final Groups RULE = new Groups(false, false, false);

    private final WriteRequest request;
    private final TrainingState training;
    private final List<String> losses;

    private MadeSettings(WriteRequest request, TrainingState training, List<String> losses) {
        this.request = request;
        this.training = training;
        this.losses = losses;
    }

    /// @param distributed the form has the states of parameters whoever shares them
    /// @return nothing where the source has no states of an optimizer that Megatron-LM would load;
    ///   `losses` says so where it has others
    static Optional<OptimizerSettings> of(
            WriteRequest request,
            TrainingState training,
            boolean distributed,
            List<String> losses) {
        return new MadeSettings(request, training, losses).made(distributed);
    }

    private Optional<OptimizerSettings> made(boolean distributed) {
        List<ParameterFacts> trained =
                request.parameters().stream().filter(p -> p.trainable() && !p.buffer()).toList();
        TreeSet<String> states =
                trained.stream()
                        .flatMap(p -> p.optimizerStates().stream())
                        .collect(Collectors.toCollection(TreeSet::new));
        if (states.isEmpty()) {
            return Optional.empty();
        }
        Optional<String> problem = problem(trained);
        if (problem.isPresent()) {
            losses.add(
                    "states of the optimizer (%s): %s; Megatron-LM begins with new ones (--no-load-optim)"
                            .formatted(String.join(", ", states), problem.get()));
            return Optional.empty();
        }
        Map<Integer, List<ParameterFacts>> members = new TreeMap<>();
        for (ParameterFacts p : trained) {
            members.computeIfAbsent(
                            RULE.number(p.name(), p.shape().rank(), false), _ -> new ArrayList<>())
                    .add(p);
        }
        Map<Integer, PyDict> groups = new LinkedHashMap<>();
        members.forEach((number, own) -> groups.put(number, settings(number, own)));
        boolean masters =
                trained.stream()
                        .anyMatch(
                                p ->
                                        p.states().getOrDefault("weight", DType.FLOAT32)
                                                != DType.FLOAT32);
        return Optional.of(
                new OptimizerSettings(
                        distributed, !distributed && masters, true, RULE, groups, PyDict.empty()));
    }

    private Optional<String> problem(List<ParameterFacts> trained) {
        for (ParameterFacts p : trained) {
            if (!p.optimizerStates().equals(ADAM)) {
                return Optional.of(
                        "'%s' has %s, and Megatron-LM's Adam exp_avg and exp_avg_sq"
                                .formatted(p.name(), p.optimizerStates()));
            }
            boolean known =
                    p.optimizerGroup() >= 0
                            && training.group(p.optimizerGroup())
                                    .filter(g -> g.find("betas").isPresent())
                                    .isPresent();
            if (!known) {
                return Optional.of(
                        "the source does not say the settings of the group of '%s'"
                                .formatted(p.name()));
            }
        }
        return Steps.of(trained).isEmpty()
                ? Optional.of("its steps are not told, or not one number")
                : Optional.empty();
    }

    private PyDict settings(int number, List<ParameterFacts> members) {
        boolean decayed = number == 0;
        PyDict first = group(members.getFirst());
        OptionalLong step = Steps.of(members);
        PyDict made =
                PyDict.empty()
                        .with("is_expert_parallel", new PyBool(false))
                        .with("default_config", new PyBool(true))
                        .with("wd_mult", new PyFloat(decayed ? 1 : 0))
                        .with("lr_mult", first.find("lr_mult").orElse(new PyFloat(1)))
                        .with("is_decoupled_lr", new PyBool(false));
        made = made.with("max_lr", bound(first, "max_lr")).with("min_lr", bound(first, "min_lr"));
        return made.with("lr", one(members, "lr"))
                .with("bias_correction", first.find("bias_correction").orElse(new PyBool(true)))
                .with("betas", one(members, "betas"))
                .with("eps", one(members, "eps"))
                .with(DECAY, decay(decayed, members))
                .with("step", PyInt.of(step.orElseThrow()));
    }

    /// Megatron-LM finds a group by these too, and a job has them of its command line: without a
    /// schedule the rate begins where it is, and falls to nothing.
    private PickleValue bound(PyDict first, String key) {
        return first.find(key)
                .or(() -> training.schedule().flatMap(s -> s.find(key)))
                .filter(v -> v.asDouble().isPresent())
                .or(() -> key.equals("max_lr") ? highest(first) : Optional.empty())
                .orElse(new PyFloat(0));
    }

    /// Of a group of torch's.
    static Optional<PickleValue> highest(PyDict group) {
        return group.find("initial_lr").or(() -> group.find("lr"));
    }

    private PyDict group(ParameterFacts member) {
        return training.group(member.optimizerGroup()).orElseThrow();
    }

    /// @throws RefusedException where members had several
    private PickleValue one(List<ParameterFacts> members, String key) {
        ParameterFacts first = members.getFirst();
        PickleValue value =
                group(first)
                        .find(key)
                        .orElseThrow(
                                () ->
                                        refused(
                                                first,
                                                "an optimizer group without `%s`".formatted(key)));
        for (ParameterFacts p : members) {
            Optional<PickleValue> other = group(p).find(key);
            if (!other.map(v -> same(v, value)).orElse(false)) {
                throw refused(
                        p,
                        "another `%s` than '%s', in what is one group in Megatron-LM"
                                .formatted(key, first.name()));
            }
        }
        return value;
    }

    private static boolean same(PickleValue a, PickleValue b) {
        if (a.asSequence().isPresent() && b.asSequence().isPresent()) {
            return a.asSequence().get().equals(b.asSequence().get());
        }
        return a.equals(b);
    }

    private static RefusedException refused(ParameterFacts p, String found) {
        return new RefusedException(
                p.name(),
                found,
                "one setting for all parameters that Megatron-LM has in a group",
                "--weights-only leaves the optimizer; --to universal keeps it");
    }

    /// Megatron-LM decays matrices, and neither vectors nor biases.
    private PickleValue decay(boolean decayed, List<ParameterFacts> members) {
        if (decayed) {
            return one(members, DECAY);
        }
        List<String> were =
                members.stream()
                        .filter(
                                p ->
                                        group(p).find(DECAY)
                                                        .map(v -> v.asDouble().orElse(0))
                                                        .orElse(0.0)
                                                != 0)
                        .map(ParameterFacts::name)
                        .toList();
        if (!were.isEmpty()) {
            losses.add(
                    "weight decay of vectors and biases (%d: %s, ..): Megatron-LM decays neither"
                            .formatted(were.size(), were.getFirst()));
        }
        return new PyFloat(0);
    }
}
