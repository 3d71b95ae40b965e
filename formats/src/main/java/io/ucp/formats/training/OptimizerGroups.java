package io.ucp.formats.training;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.torch.pickle.PickleValue;

import java.util.List;
import java.util.Optional;
import java.util.function.IntFunction;
import java.util.stream.Collectors;

/// The groups of a script's optimizer, which DeepSpeed asks for no names.
public final class OptimizerGroups {
    private OptimizerGroups() {}

    /// What the optimizer of the job that loads them has to have, in words.
    ///
    /// @param trained in the model's order
    /// @param settings of a group, by the number that its parameters name
    public static String needed(
            List<ParameterFacts> trained,
            IntFunction<? extends Optional<? extends PickleValue>> settings) {
        return trained.stream()
                .map(ParameterFacts::optimizerGroup)
                .distinct()
                .sorted()
                .map(number -> told(trained, number, settings.apply(number)))
                .collect(
                        Collectors.joining(
                                "; ",
                                "the script's optimizer needs these groups, each in the order of"
                                        + " the model's parameters: ",
                                ""));
    }

    private static String told(
            List<ParameterFacts> trained, int number, Optional<? extends PickleValue> settings) {
        List<ParameterFacts> members =
                trained.stream().filter(p -> p.optimizerGroup() == number).toList();
        String decay =
                settings.flatMap(s -> s.find("weight_decay"))
                        .map(" (weight_decay %s)"::formatted)
                        .orElse("");
        return "%d of %s, ..%s".formatted(members.size(), members.getFirst().name(), decay);
    }
}
