package io.ucp.convert;

import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.StateHolding;
import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.TargetTree;
import io.ucp.plan.Planner;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/// What the target holds less of than the source did, by name: states that were rounded to a
/// narrower type and are nowhere else, and padding that was stripped. Copies that became one and
/// what was left out are said where that happens.
final class NotGivenBack {
    private static final int NAMED = 8;

    private NotGivenBack() {}

    static List<String> of(Inventory inventory, TargetTree tree) {
        Map<String, List<Elementwise>> written = written(tree);
        Map<String, List<String>> rounded = new LinkedHashMap<>();
        List<String> stripped = new ArrayList<>();
        for (Parameter parameter : inventory.parameters()) {
            List<Elementwise> held = written.getOrDefault(parameter.name(), List.of());
            for (Map.Entry<String, StateHolding> state : parameter.states().entrySet()) {
                String types = narrower(state.getKey(), state.getValue().dtype(), held);
                if (!types.isEmpty()) {
                    String what = "%s, rounded to %s".formatted(state.getKey(), types);
                    rounded.computeIfAbsent(what, _ -> new ArrayList<>()).add(parameter.name());
                }
            }
            if (isStripped(parameter.facts(), held)) {
                stripped.add(padded(parameter.facts()));
            }
        }
        List<String> told = new ArrayList<>();
        rounded.forEach((what, parameters) -> told.add(line(what, parameters)));
        if (!stripped.isEmpty()) {
            told.add(line("padding", stripped));
        }
        return told;
    }

    /// parameter -> what of it the target's files hold
    private static Map<String, List<Elementwise>> written(TargetTree tree) {
        Map<String, List<Elementwise>> written = new HashMap<>();
        for (TargetFile file : tree.files()) {
            for (Part part : file.parts()) {
                if (part instanceof Part.Elements(long _, Elementwise of)) {
                    written.computeIfAbsent(of.parameter(), _ -> new ArrayList<>()).add(of);
                }
            }
        }
        return written;
    }

    /// The types that a state is held in, where none of them has all of its values; else nothing.
    private static String narrower(String state, DType dtype, List<Elementwise> held) {
        List<DType> types =
                held.stream()
                        .filter(of -> of.state().equals(state))
                        .map(Elementwise::dtype)
                        .distinct()
                        .toList();
        boolean lost = types.stream().allMatch(t -> t != dtype && t.width() <= dtype.width());
        return lost ? types.stream().map(DType::torchName).collect(Collectors.joining(", ")) : "";
    }

    private static boolean isStripped(ParameterFacts facts, List<Elementwise> held) {
        return facts.padded() && !held.isEmpty() && held.stream().allMatch(of -> isReal(facts, of));
    }

    private static boolean isReal(ParameterFacts facts, Elementwise of) {
        return of.pieces().stream().allMatch(piece -> Planner.isReal(facts, piece));
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
