package io.ucp.lang.internal;

import io.ucp.lang.ast.AxisProduct;
import io.ucp.lang.ast.Let;
import io.ucp.lang.ast.Mesh;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.Diagnostic;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/// The axes of a spec, each with the plain axes that it is made of.
final class Axes {
    private final Problems problems;
    private final boolean complete;
    private final boolean none;
    private final Map<String, Set<String>> plain = new LinkedHashMap<>();
    private boolean complained;

    private Axes(Problems problems, boolean complete, boolean none) {
        this.problems = problems;
        this.complete = complete;
        this.none = none;
    }

    /// The axes, after complaints about them.
    ///
    /// @param complete whether the spec may be trusted to name all its axes
    static Axes of(Spec spec, Problems problems, boolean complete) {
        Axes axes = new Axes(problems, complete, spec.mesh().isEmpty());
        spec.mesh().ifPresent(mesh -> mesh.axes().forEach(axes::add));
        spec.products().forEach(axes::add);
        spec.lets().forEach(axes::checkConstant);
        return axes;
    }

    private void add(Mesh.Axis axis) {
        Set<String> parts = new TreeSet<>();
        for (Mesh.Axis factor : axis.factors()) {
            define(factor.name(), Set.of(factor.name().text()));
            parts.add(factor.name().text());
        }
        define(axis.name(), parts.isEmpty() ? Set.of(axis.name().text()) : parts);
    }

    private void add(AxisProduct product) {
        Set<String> parts = new TreeSet<>();
        for (Name factor : product.factors()) {
            Set<String> of = plainAxes(factor);
            if (of.stream().anyMatch(parts::contains)) {
                String message = "axis '%s' twice in one product".formatted(factor);
                problems.add(Diagnostic.error(factor.span(), message));
            }
            parts.addAll(of);
        }
        define(product.name(), parts);
    }

    private void define(Name name, Set<String> parts) {
        if (plain.putIfAbsent(name.text(), parts) != null) {
            String message = "axis '%s' twice; expected each name once".formatted(name);
            problems.add(Diagnostic.error(name.span(), message));
        }
    }

    private void checkConstant(Let let) {
        if (plain.containsKey(let.name().text())) {
            String message =
                    "constant '%s' has the name of an axis; expected another name"
                            .formatted(let.name());
            String hint = "an axis in an expression means its degree";
            problems.add(Diagnostic.error(let.name().span(), message, hint));
        }
    }

    /// The plain axes that an axis is made of, after a complaint when there is no such axis.
    Set<String> plainAxes(Name axis) {
        Set<String> parts = plain.get(axis.text());
        if (parts != null) {
            return parts;
        }
        complain(axis);
        return Set.of(axis.text());
    }

    private void complain(Name axis) {
        if (!complete || (none && complained)) {
            return;
        }
        complained = true;
        if (none) {
            String message =
                    "axis '%s' without a mesh; expected a mesh that lists it".formatted(axis);
            problems.add(Diagnostic.error(axis.span(), message, "for example: mesh (pp, dp, tp)"));
            return;
        }
        List<String> names = List.copyOf(plain.keySet());
        String message = "unknown axis '%s'; expected %s".formatted(axis, Words.oneOf(names));
        Diagnostic unknown = Diagnostic.error(axis.span(), message);
        problems.add(
                problems.near().hint(axis.text(), names).map(unknown::withHint).orElse(unknown));
    }
}
