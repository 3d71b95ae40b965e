package io.ucp.bind;

import io.ucp.formats.AxisDegree;
import io.ucp.lang.ast.Spec;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/// The degrees of a target: those asked for, else those of the source.
///
/// @param axes in the source's order; `ep` and `edp` divide the ranks of `dp` anew
/// @param experts whether there are such axes
record TargetDegrees(List<AxisDegree> axes, int stage, boolean experts) {
    static TargetDegrees of(TargetBinder.Source source, TargetRequest request) {
        if (request.framework() == TargetRequest.Framework.MEGATRON) {
            return MegatronDegrees.of(source, request);
        }
        int dp = degree(source, "dp", request.dp());
        int ep = degree(source, "ep", request.ep());
        boolean experts = source.mesh().stream().anyMatch(a -> a.axis().equals("ep"));
        if (request.ep().orElse(1) > 1 && !experts) {
            throw new ImpossibleLayoutException(
                    "ep %d of a model without experts".formatted(ep), "ep 1");
        }
        Map<String, Integer> degrees = new LinkedHashMap<>();
        degrees.put("pp", degree(source, "pp", request.pp()));
        degrees.put("dp", dp);
        degrees.put("tp", degree(source, "tp", request.tp()));
        if (experts) {
            degrees.put("ep", ep);
            degrees.put("edp", Math.max(1, dp / ep));
        }
        List<AxisDegree> axes = new ArrayList<>();
        for (AxisDegree axis : source.mesh()) {
            axes.add(new AxisDegree(axis.axis(), degrees.getOrDefault(axis.axis(), axis.degree())));
            degrees.remove(axis.axis());
        }
        degrees.forEach((axis, degree) -> axes.add(new AxisDegree(axis, degree)));
        return new TargetDegrees(
                List.copyOf(axes),
                request.stage().orElse(source.stage() < 0 ? 1 : source.stage()),
                experts);
    }

    /// With the ranks that hold the same experts.
    ///
    /// @param acrossTensor experts divide all ranks of a stage, not those of `dp` alone
    /// @throws ImpossibleLayoutException where there is no such division
    TargetDegrees dividedByExperts(boolean acrossTensor) {
        int ranks = degree("dp") * (acrossTensor ? tp() : 1);
        int ep = degree("ep");
        if (ranks % ep != 0) {
            throw new ImpossibleLayoutException(
                    "ep %d over dp %d%s"
                            .formatted(ep, degree("dp"), acrossTensor ? " and tp " + tp() : ""),
                    "an ep that divides %s, whose ranks the experts share: ep %s"
                            .formatted(acrossTensor ? "them" : "dp", Divisors.of(ranks)));
        }
        return new TargetDegrees(
                axes.stream()
                        .map(a -> a.axis().equals("edp") ? new AxisDegree("edp", ranks / ep) : a)
                        .toList(),
                stage,
                experts);
    }

    static int degree(TargetBinder.Source source, String axis, OptionalInt asked) {
        int degree =
                asked.orElse(
                        source.mesh().stream()
                                .filter(a -> a.axis().equals(axis))
                                .mapToInt(AxisDegree::degree)
                                .findFirst()
                                .orElse(1));
        if (degree < 1) {
            throw new ImpossibleLayoutException("%s %d".formatted(axis, degree), "1 or more");
        }
        return degree;
    }

    int degree(String axis) {
        return axes.stream()
                .filter(a -> a.axis().equals(axis))
                .mapToInt(AxisDegree::degree)
                .findFirst()
                .orElse(1);
    }

    int tp() {
        return degree("tp");
    }

    int pp() {
        return degree("pp");
    }

    /// The mesh of a spec with these degrees; without one, experts divide `dp`, `edp` outermost.
    Mesh mesh(Optional<Spec> spec) {
        List<AxisDegree> plain = new ArrayList<>();
        Map<String, List<String>> products = new LinkedHashMap<>();
        var written = spec.flatMap(Spec::mesh);
        if (written.isPresent()) {
            for (var axis : written.get().axes()) {
                if (axis.factors().isEmpty()) {
                    plain.add(new AxisDegree(axis.name().text(), degree(axis.name().text())));
                    continue;
                }
                List<String> factors = axis.factors().stream().map(f -> f.name().text()).toList();
                factors.forEach(f -> plain.add(new AxisDegree(f, degree(f))));
                products.put(axis.name().text(), factors);
            }
        } else {
            for (AxisDegree axis : axes) {
                if (experts && axis.axis().equals("dp")) {
                    plain.add(new AxisDegree("edp", degree("edp")));
                    plain.add(new AxisDegree("ep", degree("ep")));
                    products.put("dp", List.of("edp", "ep"));
                } else if (!axis.axis().equals("ep") && !axis.axis().equals("edp")) {
                    plain.add(axis);
                }
            }
        }
        spec.ifPresent(
                s ->
                        s.products()
                                .forEach(
                                        p ->
                                                products.put(
                                                        p.name().text(),
                                                        p.factors().stream()
                                                                .flatMap(
                                                                        f ->
                                                                                products
                                                                                        .getOrDefault(
                                                                                                f
                                                                                                        .text(),
                                                                                                List
                                                                                                        .of(
                                                                                                                f
                                                                                                                        .text()))
                                                                                        .stream())
                                                                .toList())));
        return new Mesh(plain, products);
    }
}
