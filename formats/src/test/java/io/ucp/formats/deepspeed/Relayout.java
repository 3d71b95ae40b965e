package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.Scalar;
import io.ucp.formats.TargetJob;
import io.ucp.formats.TargetTree;
import io.ucp.formats.TargetTreeWriter;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.deepspeed.GeneratedParameter.Cut;
import io.ucp.formats.deepspeed.GeneratedParameter.Role;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// Writes the state of one [GeneratedCheckpoint] in the layout of another by `DeepSpeedFormat`: the
/// two have the same parameters, and may differ in degrees, stages and ZeRO stage.
final class Relayout {
    private static final DeepSpeedFormat FORMAT = new DeepSpeedFormat();

    private final GeneratedCheckpoint source;
    private final GeneratedCheckpoint target;
    private final CheckpointIndex index;
    private Set<String> dropped = Set.of();
    private boolean layers = true;

    /// @param folder where `source` was written
    Relayout(GeneratedCheckpoint source, Path folder, GeneratedCheckpoint target)
            throws IOException {
        this.source = source;
        this.target = target;
        this.index = read(folder);
    }

    /// What a reader finds in a checkpoint.
    static CheckpointIndex read(Path root) throws IOException {
        return FORMAT.index(FORMAT.find(root).getFirst());
    }

    /// Writes `source` to `folder/from`, converts it to `folder/to`, and holds every leaf against
    /// what the job of `target` would have saved; those of a stage that the source does not have
    /// may be more.
    ///
    /// @return what a reader finds in what was written
    static CheckpointIndex assertWrittenAsSaved(
            GeneratedCheckpoint source, GeneratedCheckpoint target, Path folder)
            throws IOException {
        source.writeTo(folder.resolve("from"));
        target.writeTo(folder.resolve("saved"));
        CheckpointIndex index =
                new Relayout(source, folder.resolve("from"), target).write(folder.resolve("to"));
        Map<String, String> written = Leaves.of(folder.resolve("to"));
        Map<String, String> saved = Leaves.of(folder.resolve("saved"));
        if (source.stage != target.stage && target.stage > 0) {
            assertThat(Leaves.loosely(written)).containsAllEntriesOf(Leaves.loosely(saved));
        } else {
            assertThat(written.keySet()).isEqualTo(saved.keySet());
            assertThat(written).isEqualTo(saved);
        }
        return index;
    }

    /// As where a spec says `drop`.
    Relayout without(Set<String> names) {
        dropped = names;
        return this;
    }

    /// As DeepSpeed's universal form carries them.
    Relayout withoutLayerFiles() {
        layers = false;
        return this;
    }

    TargetTree tree(Map<String, String> options) {
        return FORMAT.layout(request(options));
    }

    /// What a reader finds in what was written to `out`.
    CheckpointIndex write(Path out) throws IOException {
        return write(out, Map.of());
    }

    CheckpointIndex write(Path out, Map<String, String> options) throws IOException {
        TargetTreeWriter.write(tree(options), out, new Values());
        return read(out);
    }

    private WriteRequest request(Map<String, String> options) {
        return new WriteRequest(
                index.tag(),
                index.iteration(),
                index.origin(),
                facts(),
                index.hints(),
                index.carried().stream().filter(f -> layers || !f.role().equals("layer")).toList(),
                options,
                Optional.of(job()));
    }

    /// A parameter by its global name; of an expert, `number` of it.
    private record Named(GeneratedParameter of, int number) {
        String name() {
            return of.name(number);
        }
    }

    /// In the order in which files name them: an expert with all its parameters, then the next.
    private List<Named> named() {
        List<Named> all = new ArrayList<>();
        for (GeneratedParameter p : source.parameters) {
            List<GeneratedParameter> module =
                    source.parameters.stream()
                            .filter(o -> p.experts() > 0 && !p.isFused())
                            .filter(
                                    o ->
                                            GeneratedShards.module(o)
                                                    .equals(GeneratedShards.module(p)))
                            .toList();
            for (int e = 0; !p.isFused() && e < p.experts() && p.equals(module.getFirst()); e++) {
                int number = e;
                module.forEach(own -> all.add(new Named(own, number)));
            }
            if (p.experts() == 0 || p.isFused()) {
                all.add(new Named(p, 0));
            }
        }
        all.removeIf(named -> dropped.contains(named.name()));
        return all;
    }

    /// Of all parameters.
    List<ParameterFacts> facts() {
        return named().stream().map(this::facts).toList();
    }

    private ParameterFacts facts(Named named) {
        GeneratedParameter p = named.of();
        Map<String, DType> states = new LinkedHashMap<>();
        Map<String, Scalar> scalars = new LinkedHashMap<>();
        boolean trained = p.role() == Role.TRAINABLE;
        if (trained) {
            if (source.stage > 0 || source.wrapper != Wrapper.ZERO) {
                states.put("fp32", DType.FLOAT32);
            }
            source.states.forEach(s -> states.put(s, DType.FLOAT32));
            scalars.put("step", step());
        }
        states.put("weight", source.weights);
        return new ParameterFacts(
                named.name(),
                p.shape(),
                p.shape(),
                states,
                scalars,
                ParameterFacts.Split.UNKNOWN,
                trained,
                p.role() == Role.BUFFER,
                trained ? p.group() : -1,
                source.aliases.entrySet().stream()
                        .filter(e -> e.getValue().equals(p.name()))
                        .map(Map.Entry::getKey)
                        .toList(),
                Map.of(),
                List.of());
    }

    private Scalar step() {
        ByteBuffer bytes = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN);
        return new Scalar(DType.FLOAT32, bytes.putFloat(0, (float) source.iteration).array());
    }

    private TargetJob job() {
        Map<String, List<RankShard>> shards = new LinkedHashMap<>();
        Map<String, Shape> padded = new LinkedHashMap<>();
        for (Named named : named()) {
            GeneratedParameter p =
                    target.parameters.stream()
                            .filter(o -> o.name().equals(named.of().name()))
                            .findFirst()
                            .orElseThrow();
            shards.put(named.name(), shards(p, named.number()));
            padded.put(named.name(), p.shape());
        }
        List<AxisDegree> mesh = new ArrayList<>();
        mesh.add(new AxisDegree("pp", target.pp));
        mesh.add(new AxisDegree("dp", target.dp));
        mesh.add(new AxisDegree("tp", target.tp));
        if (target.parameters.stream().anyMatch(p -> p.experts() > 0)) {
            int ranks = target.dp * (target.expertsAcrossTensor ? target.tp : 1);
            mesh.add(new AxisDegree("ep", target.ep));
            mesh.add(new AxisDegree("edp", ranks / target.ep));
        }
        return new TargetJob(mesh, target.stage, shards, padded, List.of());
    }

    private List<RankShard> shards(GeneratedParameter p, int expert) {
        List<RankShard> held = new ArrayList<>();
        for (int stage : p.stages()) {
            for (int tp = 0; tp < target.tp; tp++) {
                Coordinate at = Coordinate.of("pp", stage).with("tp", tp);
                if (p.isFused()) {
                    held.addAll(fused(p, at));
                    continue;
                }
                String name = p.name();
                if (p.experts() > 0) {
                    int local = p.experts() / target.ep;
                    at = at.with("ep", expert / local);
                    name = p.name(expert % local);
                }
                Shape shape = p.local(target.tp);
                held.add(new RankShard(name, at, shape, pieces(p, shape, tp), shape.count()));
            }
        }
        return held;
    }

    private List<RankShard> fused(GeneratedParameter p, Coordinate at) {
        List<RankShard> held = new ArrayList<>();
        Shape local = p.shape().with(0, p.experts() / target.ep);
        for (int ep = 0; ep < target.ep; ep++) {
            long[] start = new long[p.shape().rank()];
            start[0] = ep * local.dim(0);
            Piece piece = Piece.box(p.shape(), start, local.dims());
            held.add(
                    new RankShard(
                            p.name(), at.with("ep", ep), local, List.of(piece), local.count()));
        }
        return held;
    }

    private static List<Piece> pieces(GeneratedParameter p, Shape local, int tp) {
        long[] start = new long[p.shape().rank()];
        if (p.cut() == Cut.HALVES) {
            Shape half = local.with(0, local.dim(0) / 2);
            start[0] = tp * half.dim(0);
            Piece first = Piece.box(p.shape(), start, half.dims());
            start[0] += p.shape().dim(0) / 2;
            return List.of(first, Piece.box(p.shape(), start, half.dims()).moved(half.count()));
        }
        if (p.cut() != Cut.REPLICATED) {
            int dim = p.cut() == Cut.ROWS ? 0 : 1;
            start[dim] = tp * local.dim(dim);
        }
        return List.of(Piece.box(p.shape(), start, local.dims()));
    }

    /// Whole states, whose values are their own indices.
    private final class Values implements TargetTreeWriter.States {
        @Override
        public byte[] of(String parameter, String state) {
            return of(parameter, state, DType.FLOAT32);
        }

        @Override
        public byte[] of(String parameter, String state, DType dtype) {
            GeneratedParameter p =
                    named().stream()
                            .filter(each -> each.name().equals(parameter))
                            .findFirst()
                            .orElseThrow()
                            .of();
            int count = Math.toIntExact(p.shape().count());
            ByteBuffer bytes =
                    ByteBuffer.allocate(count * dtype.width()).order(ByteOrder.LITTLE_ENDIAN);
            for (int i = 0; i < count; i++) {
                float value = source.value(parameter, state, i);
                if (dtype == DType.FLOAT16) {
                    bytes.putShort(Float.floatToFloat16(value));
                } else if (dtype == DType.FLOAT32) {
                    bytes.putFloat(value);
                } else {
                    bytes.putShort((short) GeneratedCheckpoint.bfloat16(value));
                }
            }
            return bytes.array();
        }
    }
}
