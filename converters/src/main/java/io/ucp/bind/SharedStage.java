package io.ucp.bind;

import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.NamePattern;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.Layout;
import io.ucp.mesh.Mesh;

import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/// Finds the stage that a parameter shares with another: `stage with NAME`.
final class SharedStage {
    private final Mesh mesh;
    private final Map<String, Gathered> gathered;
    private final Problems problems;

    SharedStage(Mesh mesh, Map<String, Gathered> gathered, Problems problems) {
        this.mesh = mesh;
        this.gathered = gathered;
        this.problems = problems;
    }

    /// The placement of `stage with NAME`: where that parameter is held.
    ///
    /// @param captures of the parameter's own name
    Reading of(Reading reading, Map<String, String> captures) {
        if (reading.stagedWith().isEmpty()) {
            return reading;
        }
        NamePattern.Glob with = reading.stagedWith().get();
        String name = PatternText.filled(with, captures);
        Gathered other = gathered.get(name);
        if (other == null) {
            problems.error(
                    with.span(),
                    "no parameter %s; expected one to share the stage of"
                            .formatted(PatternText.quoted(name)),
                    problems.near().hint(name, gathered.keySet()));
            return reading;
        }
        String axis = stageAxis(other, new HashSet<>());
        Set<Integer> found = new LinkedHashSet<>();
        other.holdings().forEach(h -> mesh.index(axis, h.at()).ifPresent(found::add));
        return found.isEmpty() ? reading : reading.with(new Step(axis, new Layout.Placed(found)));
    }

    /// The axis of stages, whatever the spec calls it: the one along which a parameter's own rule
    /// places it.
    private String stageAxis(Gathered parameter, Set<String> asked) {
        for (Clause clause : parameter.chosen().rule().param().orElseThrow().layout()) {
            switch (clause) {
                case Clause.StageOf s -> {
                    return s.axis().text();
                }
                case Clause.StageAt s -> {
                    return s.axis().text();
                }
                case Clause.Replicate r when !r.at().isEmpty() -> {
                    return r.axis().text();
                }
                case Clause.StageWith w -> {
                    Gathered other =
                            gathered.get(PatternText.filled(w.name(), parameter.captures()));
                    if (other != null && asked.add(other.name())) {
                        return stageAxis(other, asked);
                    }
                }
                default -> {}
            }
        }
        return "pp";
    }
}
