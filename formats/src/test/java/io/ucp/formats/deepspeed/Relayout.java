package io.ucp.formats.deepspeed;

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

/// Writes the state of one [GeneratedCheckpoint] in the layout of another by `DeepSpeedFormat`: the
/// two have the same parameters, and may differ in degrees, stages and ZeRO stage.
final class Relayout {
    private static final DeepSpeedFormat FORMAT = new DeepSpeedFormat();

    private final GeneratedCheckpoint source;
    private final GeneratedCheckpoint target;
    private final CheckpointIndex index;

    /// @param folder where `source` was written
    Relayout(GeneratedCheckpoint source, Path folder, GeneratedCheckpoint target)
            throws IOException {
        this.source = source;
        this.target = target;
        this.index = FORMAT.index(FORMAT.find(folder).getFirst());
    }

    TargetTree tree(Map<String, String> options) {
        return FORMAT.layout(request(options));
    }

    /// What a reader finds in what was written to `out`.
    CheckpointIndex write(Path out) throws IOException {
        TargetTreeWriter.write(tree(Map.of()), out, new Values());
        return FORMAT.index(FORMAT.find(out).getFirst());
    }

    private WriteRequest request(Map<String, String> options) {
        return new WriteRequest(
                index.tag(),
                index.iteration(),
                index.origin(),
                source.parameters.stream().map(this::facts).toList(),
                index.hints(),
                index.carried(),
                options,
                Optional.of(job()));
    }

    private ParameterFacts facts(GeneratedParameter p) {
        Map<String, DType> states = new LinkedHashMap<>();
        Map<String, Scalar> scalars = new LinkedHashMap<>();
        boolean trained = p.role() == Role.TRAINABLE;
        if (trained) {
            states.put("fp32", DType.FLOAT32);
            source.states.forEach(s -> states.put(s, DType.FLOAT32));
            scalars.put("step", step());
        }
        states.put("weight", GeneratedCheckpoint.WEIGHTS);
        return new ParameterFacts(
                p.name(),
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
        for (GeneratedParameter p : target.parameters) {
            List<RankShard> held = new ArrayList<>();
            for (int stage : p.stages()) {
                for (int tp = 0; tp < target.tp; tp++) {
                    Shape local = p.local(target.tp);
                    held.add(
                            new RankShard(
                                    p.name(),
                                    Coordinate.of("pp", stage).with("tp", tp),
                                    local,
                                    pieces(p, local, tp),
                                    local.count()));
                }
            }
            shards.put(p.name(), held);
            padded.put(p.name(), p.shape());
        }
        return new TargetJob(
                List.of(
                        new AxisDegree("pp", target.pp),
                        new AxisDegree("dp", target.dp),
                        new AxisDegree("tp", target.tp)),
                target.stage,
                shards,
                padded,
                List.of());
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
                    source.parameters.stream()
                            .filter(each -> each.name().equals(parameter))
                            .findFirst()
                            .orElseThrow();
            int count = Math.toIntExact(p.shape().count());
            ByteBuffer bytes =
                    ByteBuffer.allocate(count * dtype.width()).order(ByteOrder.LITTLE_ENDIAN);
            for (int i = 0; i < count; i++) {
                float value = source.value(parameter, state, i);
                if (dtype == DType.FLOAT32) {
                    bytes.putFloat(value);
                } else {
                    bytes.putShort((short) GeneratedCheckpoint.bfloat16(value));
                }
            }
            return bytes.array();
        }
    }
}
