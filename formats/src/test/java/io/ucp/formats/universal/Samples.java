package io.ucp.formats.universal;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Elementwise;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.ParameterFacts.SplitKind;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.io.ByteReader;
import io.ucp.io.PlainFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// Small checkpoints with one of everything.
final class Samples {
    /// So small that tensors span batches and states span files.
    static final Limits TINY = new Limits(2048, 256, 128, 5);

    private Samples() {}

    static ParameterFacts parameter(String name, Shape shape, Map<String, DType> states) {
        return new ParameterFacts(
                name,
                shape,
                shape,
                states,
                Map.of(),
                Split.UNKNOWN,
                true,
                false,
                0,
                List.of(),
                Map.of(),
                List.of());
    }

    /// A parameter for every dtype, and what else a parameter can be.
    static List<ParameterFacts> parameters() {
        List<ParameterFacts> out = new ArrayList<>();
        for (DType dtype : DType.values()) {
            out.add(parameter("of." + dtype.torchName(), Shape.of(7, 3), Map.of("weight", dtype)));
        }
        Map<String, DType> adam = new LinkedHashMap<>();
        adam.put("fp32", DType.FLOAT32);
        adam.put("exp_avg", DType.FLOAT32);
        adam.put("exp_avg_sq", DType.FLOAT32);
        adam.put("weight", DType.BFLOAT16);
        out.add(
                new ParameterFacts(
                        "embedding/ünï \"quoted\" \ud800 .. .*",
                        Shape.of(16, 9),
                        Shape.of(13, 9),
                        adam,
                        Map.of(
                                "step",
                                new Scalar(DType.FLOAT32, new byte[] {0, 0, 0x40, 0x40}),
                                "flag",
                                new Scalar(DType.COMPLEX32, new byte[] {1, 2, 3, 4})),
                        new Split(SplitKind.SHARDED, 0, List.of(), List.of(), true),
                        true,
                        false,
                        1,
                        List.of("lm_head.weight"),
                        Map.of(),
                        List.of("stage 1 held other bytes; the first was taken")));
        out.add(
                new ParameterFacts(
                        "qkv",
                        Shape.of(12, 5),
                        Shape.of(12, 5),
                        adam,
                        Map.of(),
                        new Split(
                                SplitKind.FUSED,
                                0,
                                List.of(4L, 4L, 4L),
                                List.of(List.of(4L, 4L, 4L), List.of(5L)),
                                false),
                        false,
                        true,
                        -1,
                        List.of(),
                        Map.of(),
                        List.of()));
        out.add(parameter("scalar", Shape.of(), adam));
        out.add(parameter("empty", Shape.of(4, 0, 2), adam));
        out.add(parameter("ones", Shape.of(1, 1, 130, 1), adam));
        out.add(parameter("no states", Shape.of(3), Map.of()));
        return out;
    }

    static LayoutHints hints() {
        return new LayoutHints(
                Optional.of("0.4"),
                List.of(
                        new LayoutHints.Pattern(
                                LayoutHints.Kind.SUB_PARAMS,
                                ".*qkv\\.weight",
                                0,
                                List.of(List.of(4L, 4L, 4L), List.of(5L)),
                                List.of(List.of(2L, 2L))),
                        new LayoutHints.Pattern(
                                LayoutHints.Kind.ROW_PARALLEL, "dense", 1, List.of(), List.of())),
                OptionalLong.of(13),
                Map.of("lm_head.weight", "embedding"),
                Set.of("frozen.a", "frozen.b"),
                Set.of("rotary"),
                Map.of("heads", 8L, "hidden", 64L));
    }

    static Origin origin() {
        return new Origin(
                "deepspeed",
                "global_step3",
                1,
                List.of(new AxisDegree("pp", 2), new AxisDegree("tp", 2)),
                Optional.of("spec llama {\n  mesh pp 2\n}\n"));
    }

    static PickleValue tree() {
        PickleValue shared = PyList.of(PyInt.of(1), PyText.of("ünï"));
        return PyDict.of(Map.of("iteration", PyInt.of(3), "a", shared, "b", shared));
    }

    /// A model states file with raw bytes and shards, and a side file; their bytes lie in `folder`.
    static List<CarriedFile> carried(Path folder) throws IOException {
        Path raw = folder.resolve("source.bin");
        Files.write(raw, new byte[] {9, 8, 7, 6, 5, 4, 3, 2, 1, 0});
        Path config = folder.resolve("config.json");
        Files.writeString(config, "{\"hidden_size\": 64}\n");
        PlainFile source = PlainFile.of(raw);
        Elementwise shard =
                new Elementwise(
                        "qkv",
                        "fp32",
                        DType.FLOAT32,
                        20,
                        List.of(Piece.box(Shape.of(12, 5), new long[] {4, 0}, new long[] {4, 5})));
        Map<String, Storage> storages =
                Map.of(
                        "0", new Storage(6, List.of(new Content.Raw(0, source, 2, 6))),
                        "1", new Storage(0, List.of()),
                        "2", new Storage(96, List.of(new Content.Elements(8, shard))),
                        "10",
                                new Storage(
                                        12,
                                        List.of(
                                                new Content.Raw(4, source, 0, 0),
                                                new Content.Raw(8, source, 1, 4))));
        return List.of(
                new CarriedFile(
                        "deep/mp_rank_00 model?.pt",
                        "model_states",
                        Coordinate.of("tp", 1),
                        Optional.empty(),
                        Optional.of(tree()),
                        storages),
                new CarriedFile(
                        "config.json",
                        "side",
                        Coordinate.NONE,
                        Optional.of(PlainFile.of(config)),
                        Optional.empty(),
                        Map.of()));
    }

    static WriteRequest request(
            List<ParameterFacts> parameters,
            List<CarriedFile> carried,
            Map<String, String> options) {
        return new WriteRequest(
                "global_step3",
                OptionalLong.of(3),
                origin(),
                parameters,
                hints(),
                carried,
                options);
    }

    static TensorBytes write(
            UniversalFormat format,
            Path folder,
            List<ParameterFacts> parameters,
            List<CarriedFile> carried,
            Map<String, String> options)
            throws IOException {
        TensorBytes tensors = TensorBytes.of(parameters, 42);
        WrittenTree.write(format.layout(request(parameters, carried, options)), folder, tensors);
        return tensors;
    }

    static CheckpointIndex index(Path folder) throws IOException {
        return new UniversalFormat().index(candidate(folder));
    }

    static Candidate candidate(Path folder) {
        return new Candidate("universal", folder, "", "");
    }

    static byte[] read(TensorEntry tensor) throws IOException {
        byte[] bytes = new byte[Math.toIntExact(tensor.size())];
        try (ByteReader reader = tensor.source().open()) {
            reader.read(tensor.offset(), ByteBuffer.wrap(bytes));
        }
        return bytes;
    }

    static WholeParameter whole(CheckpointIndex index, String name) {
        return index.wholes().stream()
                .filter(w -> w.facts().name().equals(name))
                .findFirst()
                .orElseThrow();
    }
}
