package io.ucp.formats.megatron;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.Scalar;
import io.ucp.formats.TargetJob;
import io.ucp.formats.TargetTree;
import io.ucp.formats.TargetTreeWriter;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.deepspeed.GeneratedParameter;
import io.ucp.formats.deepspeed.GeneratedParameter.Cut;
import io.ucp.formats.mcore.GroupedExperts;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.megatron.GeneratedMegatron.Kind;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// Writes the state of one [GeneratedMegatron] in the layout of another by `MegatronFormat`.
final class RelayoutMegatron {
    private static final MegatronFormat FORMAT = new MegatronFormat();

    private final CheckpointFormat to;
    private final GeneratedMegatron source;
    private final GeneratedMegatron target;
    private final CheckpointIndex index;

    /// Parameters that the optimizer never stepped.
    final Set<String> unstepped = new HashSet<>();

    /// @param folder where `source` was written
    RelayoutMegatron(GeneratedMegatron source, Path folder, GeneratedMegatron target)
            throws IOException {
        this(source, FORMAT.index(FORMAT.find(folder).getFirst()), target, FORMAT);
    }

    /// @param index of the state of `source`, whatever the form
    /// @param to the format that is written
    RelayoutMegatron(
            GeneratedMegatron source,
            CheckpointIndex index,
            GeneratedMegatron target,
            CheckpointFormat to) {
        this.source = source;
        this.target = target;
        this.index = index;
        this.to = to;
    }

    TargetTree tree(Map<String, String> options) {
        return tree(options, index.origin());
    }

    /// @param origin of the state, as the request says it
    TargetTree tree(Map<String, String> options, Origin origin) {
        return to.layout(
                new WriteRequest(
                        index.tag(),
                        index.iteration(),
                        origin,
                        source.parameters().stream().map(this::facts).toList(),
                        index.hints(),
                        index.carried(),
                        options,
                        Optional.of(job())));
    }

    void write(Path out) throws IOException {
        write(tree(Map.of()), out);
    }

    void write(TargetTree tree, Path out) throws IOException {
        TargetTreeWriter.write(tree, out, new Values());
    }

    private ParameterFacts facts(GeneratedParameter p) {
        Map<String, DType> states = new LinkedHashMap<>();
        if (source.kind == Kind.PLAIN || source.kind == Kind.DISTRIBUTED) {
            states.put("fp32", DType.FLOAT32);
        }
        if (source.kind != Kind.NONE && !unstepped.contains(p.name())) {
            states.put("exp_avg", DType.FLOAT32);
            states.put("exp_avg_sq", DType.FLOAT32);
        }
        states.put("weight", source.kind == Kind.FP32 ? DType.FLOAT32 : DType.BFLOAT16);
        ByteBuffer step = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(9);
        return new ParameterFacts(
                p.name(),
                p.shape(),
                p.shape(),
                states,
                Map.of("step", new Scalar(DType.FLOAT32, step.array())),
                ParameterFacts.Split.UNKNOWN,
                true,
                false,
                0,
                source.tied && p.name().equals(Names.EMBEDDING) ? List.of(Names.HEAD) : List.of(),
                Map.of(),
                List.of());
    }

    private TargetJob job() {
        Map<String, List<RankShard>> shards = new LinkedHashMap<>();
        Map<String, Shape> padded = new LinkedHashMap<>();
        for (GeneratedParameter p : target.parameters()) {
            shards.put(p.name(), shards(p));
            padded.put(p.name(), p.shape());
        }
        List<AxisDegree> mesh = new ArrayList<>();
        mesh.add(new AxisDegree("pp", target.pp));
        mesh.add(new AxisDegree("dp", target.dp * target.ep));
        mesh.add(new AxisDegree("tp", target.tp));
        if (target.experts > 0) {
            mesh.add(new AxisDegree("ep", target.ep));
            mesh.add(new AxisDegree("etp", target.etp));
        }
        return new TargetJob(mesh, -1, shards, padded, List.of(), target.virtual);
    }

    private List<RankShard> shards(GeneratedParameter p) {
        if (GroupedExperts.is(p.name())) {
            return together(p);
        }
        Optional<Long> expert = Names.expert(p.name());
        String axis = expert.isPresent() ? "etp" : "tp";
        int ranks = expert.isPresent() ? target.etp : target.tp;
        List<RankShard> held = new ArrayList<>();
        for (int rank = 0; rank < ranks; rank++) {
            Coordinate at = Coordinate.of("pp", stage(p)).with(axis, rank);
            if (expert.isPresent()) {
                at = at.with("ep", (int) (expert.get() / (target.experts / target.ep)));
            }
            Shape local = p.local(ranks);
            held.add(new RankShard(p.name(), at, local, pieces(p, local, rank), local.count()));
        }
        return held;
    }

    /// Of all experts those of a rank, expert by expert.
    private List<RankShard> together(GeneratedParameter p) {
        List<RankShard> held = new ArrayList<>();
        for (int ep = 0; ep < target.ep; ep++) {
            for (int rank = 0; rank < target.etp; rank++) {
                Shape local = target.ofRank(p).local(target.etp);
                Coordinate at = Coordinate.of("pp", stage(p)).with("etp", rank).with("ep", ep);
                List<Piece> pieces = new ArrayList<>();
                int dim = p.cut() == Cut.COLUMNS ? 1 : 2;
                int parts = p.cut() == Cut.COLUMNS ? 1 : 2;
                long[] extent = local.with(dim, local.dim(dim) / parts).dims();
                for (int part = 0; part < parts; part++) {
                    long[] start = new long[] {ep * local.dim(0), 0, 0};
                    start[dim] = rank * extent[dim] + part * p.shape().dim(dim) / parts;
                    pieces.add(
                            Piece.of(
                                    p.shape().dims(),
                                    start,
                                    extent,
                                    part * extent[dim],
                                    local.strides()));
                }
                held.add(new RankShard(p.name(), at, local, pieces, local.count()));
            }
        }
        return held;
    }

    private int stage(GeneratedParameter p) {
        Optional<Long> layer = Names.layer(p.name());
        if (layer.isEmpty()) {
            return p.name().equals(Names.EMBEDDING) ? 0 : target.pp - 1;
        }
        long end = 0;
        for (int chunk = 0; ; chunk++) {
            end += target.layers[chunk];
            if (layer.get() < end) {
                return chunk % target.pp;
            }
        }
    }

    private static List<Piece> pieces(GeneratedParameter p, Shape local, int rank) {
        long[] start = new long[p.shape().rank()];
        if (p.cut() == Cut.HALVES) {
            Shape half = local.with(0, local.dim(0) / 2);
            start[0] = rank * half.dim(0);
            Piece first = Piece.box(p.shape(), start, half.dims());
            start[0] += p.shape().dim(0) / 2;
            return List.of(first, Piece.box(p.shape(), start, half.dims()).moved(half.count()));
        }
        if (p.cut() != Cut.REPLICATED) {
            int dim = p.cut() == Cut.ROWS ? 0 : 1;
            start[dim] = rank * local.dim(dim);
        }
        return List.of(Piece.box(p.shape(), start, local.dims()));
    }

    /// Whole states, whose values say what they are.
    private final class Values implements TargetTreeWriter.States {
        @Override
        public byte[] of(String parameter, String state) {
            return of(parameter, state, DType.FLOAT32);
        }

        @Override
        public byte[] of(String parameter, String state, DType dtype) {
            GeneratedParameter p =
                    source.parameters().stream()
                            .filter(each -> each.name().equals(parameter))
                            .findFirst()
                            .orElseThrow();
            int count = Math.toIntExact(p.shape().count());
            ByteBuffer bytes =
                    ByteBuffer.allocate(count * dtype.width()).order(ByteOrder.LITTLE_ENDIAN);
            for (int i = 0; i < count; i++) {
                int bits = Float.floatToRawIntBits((float) source.value(parameter, state, i));
                if (dtype == DType.FLOAT32) {
                    bytes.putInt(bits);
                } else {
                    bytes.putShort((short) (bits >>> 16));
                }
            }
            return bytes.array();
        }
    }
}
