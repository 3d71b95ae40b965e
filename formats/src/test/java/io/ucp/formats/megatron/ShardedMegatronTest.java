package io.ucp.formats.megatron;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.TargetTree;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.WholeParameter.Placed;
import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.distcp.ItemReader;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.formats.megatron.GeneratedMegatron.Kind;
import io.ucp.formats.megatrondist.MegatronDistFormat;
import io.ucp.io.ByteReader;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/// One state in both forms that Megatron-LM has: from ranks' files to a sharded checkpoint, whose
/// every element is where its name says, and back to the same files.
class ShardedMegatronTest {
    private static final CheckpointFormat DIST = new MegatronDistFormat();

    @TempDir Path folder;

    private static List<GeneratedMegatron> layouts() {
        List<GeneratedMegatron> layouts = new ArrayList<>();
        for (Kind kind : Kind.values()) {
            layouts.add(GeneratedMegatron.of(1, 1).kind(kind));
            layouts.add(GeneratedMegatron.of(2, 2).kind(kind));
            layouts.add(GeneratedMegatron.of(4, 1).kind(kind));
            layouts.add(GeneratedMegatron.of(2, 2).tied().kind(kind));
            layouts.add(GeneratedMegatron.of(1, 1).experts(4, 2, 1).kind(kind));
            layouts.add(GeneratedMegatron.of(2, 1).experts(4, 2, 2).kind(kind));
        }
        layouts.addAll(together());
        return layouts;
    }

    /// With all experts of a layer in one matrix.
    private static List<GeneratedMegatron> together() {
        List<GeneratedMegatron> layouts = new ArrayList<>();
        for (Kind kind : Kind.values()) {
            layouts.add(GeneratedMegatron.of(1, 1).experts(4, 1, 1).together().kind(kind));
            layouts.add(GeneratedMegatron.of(2, 2).experts(4, 1, 2).together().kind(kind));
            layouts.add(GeneratedMegatron.of(1, 1).experts(4, 2, 1).together().kind(kind));
            layouts.add(GeneratedMegatron.of(2, 1).experts(4, 2, 2).together().kind(kind));
        }
        return layouts;
    }

    private CheckpointIndex sharded(GeneratedMegatron source, GeneratedMegatron target)
            throws IOException {
        Path from = Files.createDirectories(folder.resolve("source"));
        source.writeTo(from);
        MegatronFormat legacy = new MegatronFormat();
        CheckpointIndex index = legacy.index(legacy.find(from).getFirst());
        RelayoutMegatron relayout = new RelayoutMegatron(source, index, target, DIST);
        Path out = folder.resolve("sharded");
        relayout.write(relayout.tree(Map.of()), out);
        return DIST.index(DIST.find(out).getFirst());
    }

    @ParameterizedTest
    @MethodSource("layouts")
    void everyElementIsWhereItsNameSays(GeneratedMegatron layout) throws IOException {
        CheckpointIndex index = sharded(layout, layout);
        assertThat(index.wholes()).hasSameSizeAs(layout.parameters());
        assertThat(index.iteration()).hasValue(7);
        for (WholeParameter whole : index.wholes()) {
            String name = whole.facts().name();
            for (Map.Entry<String, List<Placed>> state : whole.states().entrySet()) {
                Map<Long, Float> held = elements(state.getValue());
                assertThat(held).hasSize(Math.toIntExact(whole.facts().shape().count()));
                held.forEach(
                        (i, value) ->
                                assertThat(value)
                                        .as("%s %s %d", name, state.getKey(), i)
                                        .isEqualTo(rounded(layout, name, state.getKey(), i)));
            }
        }
    }

    /// As `GroupedMLP.sharded_state_dict` has them, and `SequentialMLP` too: `[layers, experts,
    /// rows, columns]`, though the parameter has the columns first.
    @ParameterizedTest
    @MethodSource("together")
    void theKeysHaveEachExpertAsIfItWereAlone(GeneratedMegatron layout) throws IOException {
        Path iteration = sharded(layout, layout).folder();
        DistcpMetadata metadata = DistcpMetadata.read(iteration);
        ItemReader items = ItemReader.open(iteration, metadata);
        List<String> states = List.of("weight", "exp_avg", "exp_avg_sq", "fp32");
        for (String state : layout.kind == Kind.NONE ? states.subList(0, 1) : states) {
            String before = keyPrefix(layout.kind, state);
            if (!before.equals("absent")) {
                turned(layout, metadata, items, before, state, 1, Shape.of(4, 4, 8, 5));
                turned(layout, metadata, items, before, state, 2, Shape.of(4, 4, 5, 4));
            }
        }
        assertThat(metadata.entries().keySet())
                .filteredOn(k -> k.contains("experts.experts.") && k.contains("_extra_state"))
                .hasSize(4 * 4 * 2)
                .contains(
                        "decoder.layers.mlp.experts.experts.linear_fc2._extra_state/shard_3.1_4.4");
    }

    private static String keyPrefix(Kind kind, String state) {
        if (!state.equals("fp32")) {
            return state.equals("weight") ? "" : "optimizer.state.%s.".formatted(state);
        }
        return switch (kind) {
            case DISTRIBUTED -> "optimizer.state.param.";
            case PLAIN -> "optimizer.state.fp32_param.";
            case FP32, NONE -> "absent";
        };
    }

    private static void turned(
            GeneratedMegatron layout,
            DistcpMetadata metadata,
            ItemReader items,
            String before,
            String state,
            int half,
            Shape shape)
            throws IOException {
        String key =
                "%sdecoder.layers.mlp.experts.experts.linear_fc%d.weight".formatted(before, half);
        OfTensor tensor = (OfTensor) Objects.requireNonNull(metadata.entries().get(key));
        assertThat(tensor.shape()).isEqualTo(shape);
        List<Placed> placed = new ArrayList<>();
        for (Stored stored : tensor.chunks()) {
            placed.add(new Placed(items.tensor(stored.place()), stored.chunk().in(shape)));
        }
        Map<Long, Float> held = elements(placed);
        assertThat(held).hasSize(Math.toIntExact(shape.count()));
        held.forEach(
                (i, value) -> {
                    long column = i % shape.dim(3);
                    long row = i / shape.dim(3) % shape.dim(2);
                    long expert = i / shape.dim(3) / shape.dim(2);
                    String name =
                            "decoder.layers.%d.mlp.experts.weight%d".formatted(expert / 4, half);
                    long own = (expert % 4 * shape.dim(3) + column) * shape.dim(2) + row;
                    assertThat(value)
                            .as("%s %d", key, i)
                            .isEqualTo(rounded(layout, name, state, own));
                });
    }

    private static float rounded(GeneratedMegatron layout, String name, String state, long i) {
        float value = (float) layout.value(name, state, i);
        return state.equals("weight") && layout.kind != Kind.FP32
                ? Float.intBitsToFloat(Float.floatToRawIntBits(value) >>> 16 << 16)
                : value;
    }

    private static Map<Long, Float> elements(List<Placed> all) throws IOException {
        Map<Long, Float> held = new HashMap<>();
        for (Placed placed : all) {
            TensorEntry tensor = placed.tensor();
            ByteBuffer bytes =
                    ByteBuffer.allocate(Math.toIntExact(tensor.size()))
                            .order(ByteOrder.LITTLE_ENDIAN);
            try (ByteReader reader = tensor.source().open()) {
                reader.read(tensor.offset(), bytes);
            }
            Piece piece = placed.piece().lying(tensor.shape(), tensor.strides());
            for (long n = 0; n < piece.count(); n++) {
                long rest = n;
                long local = piece.localOffset();
                long index = 0;
                long row = 1;
                for (int d = piece.extent().length - 1; d >= 0; d--) {
                    long at = rest % piece.extent()[d];
                    rest /= piece.extent()[d];
                    local += at * piece.localStride()[d];
                    index += (piece.start()[d] + at) * row;
                    row *= piece.grid()[d];
                }
                float value =
                        tensor.dtype() == DType.FLOAT32
                                ? bytes.getFloat(Math.toIntExact(local * 4))
                                : Float.intBitsToFloat(
                                        bytes.getShort(Math.toIntExact(local * 2)) << 16);
                assertThat(held.put(index, value)).isNull();
            }
        }
        return held;
    }

    @ParameterizedTest
    @MethodSource("layouts")
    void theWayBackGivesTheSameFiles(GeneratedMegatron layout) throws IOException {
        CheckpointIndex index = sharded(layout, layout);
        RelayoutMegatron back = new RelayoutMegatron(layout, index, layout, new MegatronFormat());
        back.write(back.tree(Map.of()), folder.resolve("back"));

        Map<String, String> expected = new TreeMap<>(MegatronLeaves.of(folder.resolve("source")));
        Map<String, String> written = new TreeMap<>(MegatronLeaves.of(folder.resolve("back")));
        expected.keySet().removeIf(ShardedMegatronTest::isLeft);
        written.keySet().removeIf(ShardedMegatronTest::isLeft);
        assertThat(differing(written, expected)).isEmpty();
    }

    /// Versions of modules and what a layer of the head keeps no checkpoint of this form has.
    private static boolean isLeft(String leaf) {
        return leaf.contains("_metadata")
                || leaf.contains("output_layer._extra_state")
                || leaf.matches(".*:/'model\\d*'");
    }

    private static Map<String, String> differing(
            Map<String, String> written, Map<String, String> expected) {
        Map<String, String> differing = new TreeMap<>();
        Map<String, String> all = new TreeMap<>(expected);
        all.putAll(written);
        for (String leaf : all.keySet()) {
            String is = written.getOrDefault(leaf, "nothing");
            String should = expected.getOrDefault(leaf, "nothing");
            if (!is.equals(should)) {
                differing.put(leaf, "%s instead of %s".formatted(is, should));
            }
        }
        return differing;
    }

    /// Core 0.9 had no option for it.
    @Test
    void argumentsSayItWhereTheSourceHasNoOption() throws IOException {
        GeneratedMegatron layout = GeneratedMegatron.of(1, 1).experts(4, 2, 1).together();
        layout.more.remove("moe_use_legacy_grouped_gemm");
        assertThat(sharded(layout, layout).wholes())
                .extracting(w -> w.facts().name())
                .contains("decoder.layers.3.mlp.experts.weight2");
    }

    @Test
    void metadataIsWrittenBehindAllFilesAndTheTrackerLast() throws IOException {
        GeneratedMegatron layout = GeneratedMegatron.of(2, 2);
        Path from = Files.createDirectories(folder.resolve("source"));
        layout.writeTo(from);
        MegatronFormat legacy = new MegatronFormat();
        CheckpointIndex index = legacy.index(legacy.find(from).getFirst());
        TargetTree tree = new RelayoutMegatron(layout, index, layout, DIST).tree(Map.of());
        assertThat(tree.pointers())
                .extracting(TargetTree.SmallFile::path)
                .containsExactly(
                        "iter_0000007/metadata.json",
                        "iter_0000007/.metadata",
                        "latest_checkpointed_iteration.txt");
    }

    @Test
    void anotherJobReadsTheSameState() throws IOException {
        CheckpointIndex one = sharded(GeneratedMegatron.of(1, 1), GeneratedMegatron.of(2, 2));
        assertThat(one.degree("tp")).isEqualTo(2);
        assertThat(one.degree("pp")).isEqualTo(2);
        WholeParameter rows =
                one.wholes().stream()
                        .filter(w -> w.facts().name().endsWith("0.mlp.linear_fc1.weight"))
                        .findFirst()
                        .orElseThrow();
        assertThat(Objects.requireNonNull(rows.states().get("weight"))).hasSize(4);
        assertThat(Arrays.asList(one.hints().family().orElse(""))).doesNotContain("");
    }
}
