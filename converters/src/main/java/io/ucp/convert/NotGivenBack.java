package io.ucp.convert;

import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.TargetTree;
import io.ucp.plan.Planner;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/// What the target holds less of than the source did, by name: states that were rounded to a
/// narrower type and are nowhere else, and padding that was stripped. Copies that became one and
/// what was left out are said where that happens.
final class NotGivenBack {
    private static final int NAMED = 8;

    private NotGivenBack() {}

    static List<String> of(Inventory inventory, TargetTree tree) {
        Map<String, Parameter> source =
                inventory.parameters().stream()
                        .collect(Collectors.toMap(Parameter::name, p -> p, (a, _) -> a));
        Map<State, DType> rounded = new LinkedHashMap<>();
        Set<State> whole = new LinkedHashSet<>();
        Map<String, Boolean> padding = new HashMap<>();
        tree.files().stream()
                .flatMap(file -> file.parts().stream())
                .filter(Part.Elements.class::isInstance)
                .map(part -> ((Part.Elements) part).of())
                .filter(of -> source.containsKey(of.parameter()))
                .forEach(
                        of -> {
                            Parameter parameter = source.get(of.parameter());
                            State state = new State(of.parameter(), of.state());
                            DType held = parameter.states().get(of.state()).dtype();
                            if (of.dtype() != held && of.dtype().width() <= held.width()) {
                                rounded.put(state, of.dtype());
                            } else {
                                whole.add(state);
                            }
                            if (parameter.facts().padded()) {
                                padding.merge(
                                        of.parameter(),
                                        holdsPadding(parameter.facts(), of),
                                        Boolean::logicalOr);
                            }
                        });
        rounded.keySet().removeAll(whole);
        List<String> told = new ArrayList<>();
        Map<String, List<String>> byType = new LinkedHashMap<>();
        rounded.forEach(
                (state, dtype) ->
                        byType.computeIfAbsent(
                                        "%s, rounded to %s"
                                                .formatted(state.name(), dtype.torchName()),
                                        _ -> new ArrayList<>())
                                .add(state.parameter()));
        byType.forEach((what, parameters) -> told.add(line(what, parameters)));
        List<String> stripped =
                padding.keySet().stream()
                        .filter(name -> !padding.get(name))
                        .sorted()
                        .map(name -> padded(source.get(name).facts()))
                        .toList();
        if (!stripped.isEmpty()) {
            told.add(line("padding", stripped));
        }
        return told;
    }

    private record State(String parameter, String name) {}

    private static boolean holdsPadding(ParameterFacts facts, Elementwise of) {
        return of.pieces().stream().anyMatch(piece -> !Planner.isReal(facts, piece));
    }

    private static String padded(ParameterFacts facts) {
        return "%s (%s of %s is real)".formatted(facts.name(), facts.realShape(), facts.shape());
    }

    private static String line(String what, List<String> parameters) {
        int more = parameters.size() - NAMED;
        return "not given back: %s: %s%s"
                .formatted(
                        what,
                        parameters.stream().limit(NAMED).collect(Collectors.joining(", ")),
                        more > 0 ? " and %d more".formatted(more) : "");
    }
}
