package io.ucp.bind;

import io.ucp.formats.LayoutHints;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.ParameterFacts.SplitKind;
import io.ucp.layout.Chain;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.Layout;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/// The summary of a chain in the terms of DeepSpeed's universal metadata: how tensor parallelism
/// cuts the parameter.
final class Splits {
    private Splits() {}

    /// @param shape of the whole parameter
    /// @param vocabulary the rule pads it
    static Split of(String name, Chain chain, Shape shape, boolean vocabulary, LayoutHints hints) {
        Optional<Shape> view = Optional.empty();
        for (Step step : chain.steps()) {
            switch (step.layout()) {
                case Layout.Viewed(var seen) -> view = Optional.of(seen);
                case Layout.Sharded _ when step.axis().equals("ep") -> {
                    // Whole experts, each of which tensor parallelism cuts.
                }
                case Layout.Sharded(int dim, _) -> {
                    return view.isPresent()
                            ? throughView(shape, view.get(), dim, vocabulary)
                            : new Split(SplitKind.SHARDED, dim, List.of(), List.of(), vocabulary);
                }
                case Layout.Fused f -> {
                    List<Long> extents = f.extents(shape.dim(f.dim()));
                    return fused(name, shape, f.dim(), extents, vocabulary, hints);
                }
                case Layout.Averaged() when step.axis().equals("tp") -> {
                    return new Split(SplitKind.AVERAGED, 0, List.of(), List.of(), vocabulary);
                }
                case Layout.Replicated() when step.axis().equals("tp") -> {
                    return new Split(SplitKind.REPLICATED, 0, List.of(), List.of(), vocabulary);
                }
                case Layout.Averaged(),
                        Layout.Replicated(),
                        Layout.Placed _,
                        Layout.FusedAgain _,
                        Layout.Permuted _ -> {
                    // Says nothing of tensor parallelism.
                }
            }
        }
        return new Split(SplitKind.UNKNOWN, 0, List.of(), List.of(), vocabulary);
    }

    private static Split fused(
            String name,
            Shape shape,
            int dim,
            List<Long> parts,
            boolean vocabulary,
            LayoutHints hints) {
        boolean halves = parts.size() == 2 && parts.get(0).equals(parts.get(1)) && dim == 0;
        if (halves && !saidAsSubShape(name, hints)) {
            return new Split(SplitKind.FUSED, dim, parts, List.of(), vocabulary);
        }
        List<List<Long>> subShape = new ArrayList<>();
        for (int d = 0; d < shape.rank(); d++) {
            subShape.add(d == dim ? parts : List.of(shape.dim(d)));
        }
        return new Split(SplitKind.FUSED, dim, parts, subShape, vocabulary);
    }

    /// Whether the checkpoint itself names the parts by `SubparamShape`.
    private static boolean saidAsSubShape(String name, LayoutHints hints) {
        return hints.patterns().stream()
                .filter(
                        p ->
                                p.kind() == LayoutHints.Kind.TWO_SUB_PARAMS
                                        || p.kind() == LayoutHints.Kind.SUB_PARAMS)
                .filter(p -> PythonRegex.matches(p.regex(), name))
                .findFirst()
                .filter(p -> p.kind() == LayoutHints.Kind.SUB_PARAMS)
                .isPresent();
    }

    /// A cut of a view's dimension is one of the parameter's own dimension: whole where the view's
    /// dimension is the outermost of it, else as many parts as the outer ones count.
    private static Split throughView(Shape shape, Shape view, int dim, boolean vocabulary) {
        long inner = 1;
        for (int d = dim; d < view.rank(); d++) {
            inner *= view.dim(d);
        }
        long stride = 1;
        for (int d = shape.rank() - 1; d >= 0; d--) {
            long whole = stride * shape.dim(d);
            if (inner <= whole) {
                int parts = inner == 0 ? 1 : Math.toIntExact(whole / inner);
                if (parts == 1) {
                    return new Split(SplitKind.SHARDED, d, List.of(), List.of(), vocabulary);
                }
                List<Long> extents = Collections.nCopies(parts, shape.dim(d) / parts);
                return fused("", shape, d, extents, vocabulary, LayoutHints.NONE);
            }
            stride = whole;
        }
        return new Split(SplitKind.UNKNOWN, 0, List.of(), List.of(), vocabulary);
    }
}
