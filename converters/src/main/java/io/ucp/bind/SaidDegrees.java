package io.ucp.bind;

import io.ucp.lang.ast.Mesh;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.Span;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;

/// The degrees that the mesh of a target's spec gives: the target's, where no option gives them.
final class SaidDegrees {
    private final Numbers numbers;
    private final Problems problems = new Problems();
    private final Map<String, OptionalInt> asked = new LinkedHashMap<>();
    private final Map<String, OptionalInt> degrees = new HashMap<>();

    private SaidDegrees(
            TargetRequest request, Spec spec, Map<String, Long> settings, Map<String, Long> hints) {
        this.numbers = new Numbers(spec, Optional.empty(), settings, hints, problems);
        asked.put("tp", request.tp());
        asked.put("pp", request.pp());
        asked.put("dp", request.dp());
        asked.put("ep", request.ep());
        asked.put("etp", request.etp());
        degrees.putAll(asked);
    }

    /// @throws io.ucp.lang.diagnostic.SpecException where the mesh and the options do not agree
    static TargetRequest in(
            TargetRequest request, Spec spec, Map<String, Long> settings, Map<String, Long> hints) {
        SaidDegrees said = new SaidDegrees(request, spec, settings, hints);
        spec.mesh().ifPresent(mesh -> mesh.axes().forEach(said::read));
        said.problems.throwIfAny();
        return said.complete(request);
    }

    private TargetRequest complete(TargetRequest r) {
        return new TargetRequest(
                of("tp"),
                of("pp"),
                of("dp"),
                of("ep"),
                r.stage(),
                r.stages(),
                r.partition(),
                r.vocabulary(),
                r.framework(),
                r.virtual(),
                of("etp"));
    }

    private OptionalInt of(String axis) {
        return degrees.getOrDefault(axis, OptionalInt.empty());
    }

    private void read(Mesh.Axis axis) {
        if (axis.factors().isEmpty()) {
            degree(axis).ifPresent(d -> say(axis.name().text(), d, axis.span()));
            return;
        }
        // The factor that the job's frameworks count by themselves follows from the product.
        boolean whole = axis.factors().stream().allMatch(f -> degree(f).isPresent());
        long product = 1;
        for (Mesh.Axis factor : axis.factors()) {
            OptionalLong degree = degree(factor);
            product = Math.min(product * degree.orElse(1), Integer.MAX_VALUE);
            if (degree.isPresent() && (!whole || asked.containsKey(factor.name().text()))) {
                say(factor.name().text(), degree.getAsLong(), factor.span());
            }
        }
        OptionalLong own = degree(axis);
        if (whole && own.isPresent() && own.getAsLong() != product) {
            problems.error(
                    axis.span(),
                    "%s %d of factors that make %d; expected their product"
                            .formatted(axis.name().text(), own.getAsLong(), product));
        } else if (own.isPresent() || whole) {
            say(axis.name().text(), own.orElse(product), axis.span());
        }
    }

    private OptionalLong degree(Mesh.Axis axis) {
        OptionalLong degree = axis.degree().map(numbers::value).orElse(OptionalLong.empty());
        if (degree.isPresent()
                && (degree.getAsLong() < 1 || degree.getAsLong() > MeshReader.MOST)) {
            problems.error(
                    axis.span(),
                    "degree %d; expected 1 to %d".formatted(degree.getAsLong(), MeshReader.MOST));
            return OptionalLong.empty();
        }
        return degree;
    }

    private void say(String axis, long degree, Span span) {
        OptionalInt option = asked.get(axis);
        if (option == null) {
            problems.error(
                    span,
                    "the mesh of a target gives %s %d; expected degrees of %s only"
                            .formatted(axis, degree, String.join(", ", asked.keySet())),
                    "leave it out: that axis is the source's");
        } else if (option.isPresent() && option.getAsInt() != degree) {
            problems.error(
                    span,
                    "the mesh of the target gives %s %d; --%s asks for %d"
                            .formatted(axis, degree, axis, option.getAsInt()));
        } else {
            degrees.put(axis, OptionalInt.of(Math.toIntExact(degree)));
        }
    }
}
