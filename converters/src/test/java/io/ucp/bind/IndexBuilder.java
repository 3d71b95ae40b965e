package io.ucp.bind;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.OptimizerMember;
import io.ucp.formats.Origin;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.io.PlainFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// What a checkpoint's files would say, put together by hand.
final class IndexBuilder {
    private final List<AxisDegree> mesh = new ArrayList<>();
    private final List<HeldTensor> tensors = new ArrayList<>();
    private final List<FlatGroup> groups = new ArrayList<>();
    private final Map<String, Long> numbers = new HashMap<>();
    private final List<LayoutHints.Pattern> patterns = new ArrayList<>();
    private Map<String, String> aliases = Map.of();
    private Set<String> frozen = Set.of();
    private Optional<String> version = Optional.empty();
    private OptionalLong rows = OptionalLong.empty();
    private Optional<String> family = Optional.empty();
    private final List<OptimizerMember> members = new ArrayList<>();

    IndexBuilder axis(String name, int degree) {
        mesh.add(new AxisDegree(name, degree));
        return this;
    }

    IndexBuilder number(String name, long value) {
        numbers.put(name, value);
        return this;
    }

    IndexBuilder described(String infoVersion) {
        version = Optional.of(infoVersion);
        return this;
    }

    IndexBuilder family(String bundled) {
        family = Optional.of(bundled);
        return this;
    }

    IndexBuilder member(String name, Coordinate at, int group, Scalar step) {
        members.add(new OptimizerMember(name, at, group, Map.of("step", step)));
        return this;
    }

    IndexBuilder vocabularyRows(long real) {
        rows = OptionalLong.of(real);
        return this;
    }

    IndexBuilder pattern(LayoutHints.Kind kind, String regex) {
        int dim = kind == LayoutHints.Kind.ROW_PARALLEL ? 1 : 0;
        patterns.add(new LayoutHints.Pattern(kind, regex, dim, List.of(), List.of()));
        return this;
    }

    IndexBuilder subParams(String regex, int dim, List<List<Long>> shape) {
        patterns.add(
                new LayoutHints.Pattern(LayoutHints.Kind.SUB_PARAMS, regex, dim, shape, List.of()));
        return this;
    }

    IndexBuilder alias(String alias, String canonical) {
        aliases = Map.of(alias, canonical);
        return this;
    }

    IndexBuilder frozen(String name) {
        frozen = Set.of(name);
        return this;
    }

    static Coordinate at(Object... axes) {
        Coordinate at = Coordinate.NONE;
        for (int i = 0; i < axes.length; i += 2) {
            at = at.with((String) axes[i], (Integer) axes[i + 1]);
        }
        return at;
    }

    IndexBuilder weight(String name, Coordinate at, long... shape) {
        return state("weight", name, at, shape);
    }

    /// A state that is a tensor of its own.
    IndexBuilder state(String state, String name, Coordinate at, long... shape) {
        TensorEntry own = tensor(Shape.of(shape));
        tensors.add(
                new HeldTensor(
                        name,
                        state,
                        at,
                        TensorEntry.dense(
                                own.source(), tensors.size() * 4096L, own.dtype(), own.shape())));
        return this;
    }

    static FlatGroup.Member member(String name, long... shape) {
        return new FlatGroup.Member(name, Shape.of(shape));
    }

    IndexBuilder zero(int number, Coordinate at, FlatGroup.Member... members) {
        return group(number, at, "dp", false, members);
    }

    IndexBuilder group(
            int number, Coordinate at, String axis, boolean each, FlatGroup.Member... members) {
        long total = Arrays.stream(members).mapToLong(m -> m.shape().count()).sum();
        List<FlatGroup.Part> parts = new ArrayList<>();
        int degree =
                mesh.stream()
                        .filter(a -> a.axis().equals(axis))
                        .mapToInt(AxisDegree::degree)
                        .findFirst()
                        .orElse(1);
        for (int p = 0; p < degree; p++) {
            TensorEntry flat = tensor(Shape.of(Math.ceilDiv(total, 2L * degree) * 2));
            parts.add(
                    new FlatGroup.Part(
                            at.with(axis, p),
                            flat.shape().count(),
                            Map.of("fp32", flat, "exp_avg", flat, "exp_avg_sq", flat),
                            Map.of("step", new Scalar(DType.FLOAT32, new byte[4]))));
        }
        groups.add(new FlatGroup(number, number, at, axis, each, List.of(members), parts));
        return this;
    }

    private static TensorEntry tensor(Shape shape) {
        return TensorEntry.dense(
                new PlainFile(Path.of("made-by-hand.pt"), Long.MAX_VALUE), 0, DType.FLOAT32, shape);
    }

    CheckpointIndex build() {
        return new CheckpointIndex(
                "deepspeed",
                Path.of("made-by-hand"),
                "global_step3",
                OptionalLong.of(3),
                1,
                mesh,
                tensors,
                groups,
                List.of(),
                new LayoutHints(
                        version, patterns, rows, aliases, frozen, Set.of(), numbers, family),
                List.of(),
                new Origin("deepspeed", "global_step3", 1, mesh, Optional.empty()),
                List.of(),
                members);
    }
}
