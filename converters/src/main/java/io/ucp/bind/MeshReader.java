package io.ucp.bind;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointIndex;
import io.ucp.lang.ast.AxisProduct;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.Span;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;

/// The mesh that a spec and a checkpoint agree on: the spec gives the order and the products, the
/// checkpoint the degrees.
final class MeshReader {
    /// Ranks as no job has, of an axis or of all.
    static final int MOST = 1 << 20;

    private final CheckpointIndex index;
    private final Numbers numbers;
    private final Problems problems;
    private final List<AxisDegree> axes = new ArrayList<>();
    private final Map<String, List<String>> products = new LinkedHashMap<>();

    private MeshReader(CheckpointIndex index, Numbers numbers, Problems problems) {
        this.index = index;
        this.numbers = numbers;
        this.problems = problems;
    }

    static Mesh read(Spec spec, CheckpointIndex index, Numbers numbers, Problems problems) {
        MeshReader reader = new MeshReader(index, numbers, problems);
        spec.mesh().ifPresentOrElse(reader::written, reader::ofCheckpoint);
        spec.products().forEach(reader::product);
        return new Mesh(reader.axes, reader.products);
    }

    /// The checkpoint's own axes. Where experts divide `dp` anew, `dp` is their product, `edp`
    /// outermost.
    static Mesh of(CheckpointIndex index) {
        MeshReader reader =
                new MeshReader(
                        index,
                        new Numbers(
                                Spec.of(List.of()),
                                java.util.Optional.empty(),
                                Map.of(),
                                Map.of(),
                                new Problems()),
                        new Problems());
        reader.ofCheckpoint();
        return new Mesh(reader.axes, reader.products);
    }

    private void ofCheckpoint() {
        int ep = degreeOf("ep").orElse(1);
        int dp = degreeOf("dp").orElse(1);
        boolean divided = has("ep") && has("dp") && dp % ep == 0 && !acrossTensor(index);
        for (AxisDegree axis : index.mesh()) {
            if (!divided) {
                axes.add(axis);
            } else if (axis.axis().equals("dp")) {
                axes.add(new AxisDegree("edp", dp / ep));
                axes.add(new AxisDegree("ep", ep));
                products.put("dp", List.of("edp", "ep"));
            } else if (!axis.axis().equals("ep") && !axis.axis().equals("edp")) {
                axes.add(axis);
            }
        }
    }

    /// Whether experts divide the tensor-parallel ranks of a stage too: then their axes are no
    /// factors of `dp`, and stand beside it.
    static boolean acrossTensor(CheckpointIndex index) {
        return index.format().equals("deepspeed")
                && index.degree("ep") * index.degree("edp") > index.degree("dp");
    }

    private boolean has(String axis) {
        return degreeOf(axis).isPresent();
    }

    private OptionalInt degreeOf(String axis) {
        return index.mesh().stream()
                .filter(a -> a.axis().equals(axis))
                .mapToInt(AxisDegree::degree)
                .findFirst();
    }

    private void written(io.ucp.lang.ast.Mesh mesh) {
        for (var axis : mesh.axes()) {
            if (axis.factors().isEmpty()) {
                add(axis.name(), degree(axis), axis.span());
                continue;
            }
            List<String> factors = new ArrayList<>();
            for (var factor : axis.factors()) {
                add(factor.name(), factorDegree(axis, factor), factor.span());
                factors.add(factor.name().text());
            }
            if (acrossTensor(index) && Set.of("edp", "ep").equals(Set.copyOf(factors))) {
                add(axis.name(), degreeOf(axis.name().text()).orElse(1), axis.span());
                continue;
            }
            products.putIfAbsent(axis.name().text(), factors);
            checkProduct(axis);
        }
        long ranks = 1;
        for (AxisDegree axis : axes) {
            ranks = Math.min(MOST + 1L, ranks * axis.degree());
        }
        if (ranks > MOST) {
            problems.error(
                    mesh.span(),
                    "a mesh of more than %d ranks; expected those of one job".formatted(MOST));
            axes.replaceAll(a -> new AxisDegree(a.axis(), degreeOf(a.axis()).orElse(1)));
        }
        for (AxisDegree axis : index.mesh()) {
            if (axis.degree() > 1 && !named(axis.axis())) {
                problems.error(
                        mesh.span(),
                        "the checkpoint was written over %s of degree %d; expected it in the mesh"
                                .formatted(axis.axis(), axis.degree()),
                        "name it among the axes, at its place from outermost to innermost");
            }
        }
    }

    private boolean named(String axis) {
        return names().contains(axis);
    }

    private Set<String> names() {
        Set<String> names = new java.util.LinkedHashSet<>(products.keySet());
        axes.forEach(a -> names.add(a.axis()));
        return names;
    }

    private void add(Name name, int degree, Span span) {
        if (named(name.text())) {
            problems.error(span, "axis %s twice; expected it once".formatted(name));
        } else {
            axes.add(new AxisDegree(name.text(), degree));
        }
    }

    private int degree(io.ucp.lang.ast.Mesh.Axis axis) {
        OptionalInt held = degreeOf(axis.name().text());
        OptionalInt said = said(axis);
        if (said.isPresent() && held.isPresent() && said.getAsInt() != held.getAsInt()) {
            problems.error(
                    axis.span(),
                    "the mesh says %s %d; the checkpoint was written over %s %d"
                            .formatted(axis.name(), said.getAsInt(), axis.name(), held.getAsInt()));
        }
        return held.orElse(said.orElse(1));
    }

    /// Of a factor that neither says: what the others leave of the product.
    private int factorDegree(io.ucp.lang.ast.Mesh.Axis product, io.ucp.lang.ast.Mesh.Axis factor) {
        OptionalInt own = degreeOf(factor.name().text());
        OptionalInt whole = degreeOf(product.name().text());
        if (own.isPresent() || factor.degree().isPresent() || whole.isEmpty()) {
            return degree(factor);
        }
        long rest = 1;
        for (var other : product.factors()) {
            rest = Math.min(MOST, rest * (other.equals(factor) ? 1 : degree(other)));
        }
        return Math.toIntExact(Math.max(1, whole.getAsInt() / rest));
    }

    private void checkProduct(io.ucp.lang.ast.Mesh.Axis axis) {
        int product = new Mesh(axes, products).degree(axis.name().text());
        OptionalInt held = degreeOf(axis.name().text());
        if (held.isPresent() && held.getAsInt() != product) {
            problems.error(
                    axis.span(),
                    "%s is %d by its axes; the checkpoint was written over %s %d"
                            .formatted(axis.name(), product, axis.name(), held.getAsInt()));
        }
    }

    private OptionalInt said(io.ucp.lang.ast.Mesh.Axis axis) {
        if (axis.degree().isEmpty()) {
            return OptionalInt.empty();
        }
        OptionalLong value = numbers.value(axis.degree().get());
        if (value.isEmpty()) {
            return OptionalInt.empty();
        }
        if (value.getAsLong() < 1 || value.getAsLong() > MOST) {
            problems.error(
                    axis.degree().get().span(),
                    "degree %d; expected 1 to %d".formatted(value.getAsLong(), MOST));
            return OptionalInt.empty();
        }
        return OptionalInt.of((int) value.getAsLong());
    }

    private void product(AxisProduct product) {
        List<String> factors = new ArrayList<>();
        for (Name factor : product.factors()) {
            List<String> own = products.getOrDefault(factor.text(), List.of(factor.text()));
            if (axes.stream().noneMatch(a -> own.contains(a.axis()))) {
                problems.error(
                        factor.span(),
                        "'%s' is no axis of the mesh; expected one of %s"
                                .formatted(factor, String.join(", ", names())),
                        problems.near().hint(factor.text(), names()));
                return;
            }
            factors.addAll(own);
        }
        if (named(product.name().text())) {
            problems.error(
                    product.span(), "axis %s twice; expected it once".formatted(product.name()));
            return;
        }
        products.put(product.name().text(), factors);
    }
}
