package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.bind.TargetRequest;
import io.ucp.bind.TargetRequest.Framework;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.TorchContents;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/// All experts of a layer in one matrix, as Megatron-LM's `GroupedMLP` has them: a rank sees
/// `weight1` as `[experts, hidden, width]`, gate before up in the width, and `weight2` as
/// `[experts, width, hidden]`.
class GroupedExpertsTest {
    private static final String FAMILY = "megatron_core_mixtral_hf_legacy_grouped";
    private static final int HIDDEN = 16;
    private static final int WIDTH = 20;

    @TempDir Path folder;

    private Path megatron(Path source, String to, String spec, int tp, int ep, String name)
            throws IOException {
        Request request =
                new Request(
                        source,
                        Optional.empty(),
                        to,
                        Optional.empty(),
                        Map.of(),
                        Map.of(),
                        spec.isEmpty() ? Optional.empty() : Optional.of(spec),
                        Names.AUTO,
                        Optional.of(
                                TargetRequest.SAME
                                        .withFramework(Framework.MEGATRON)
                                        .withTp(tp)
                                        .withPp(1)
                                        .withDp(ep)
                                        .withEp(ep)));
        return Conversions.run(request, folder.resolve(name));
    }

    /// The number of the first element of a parameter in the file that [FamilyModel] writes.
    private static int first(FamilyModel model, String name) {
        long at = 0;
        for (ParameterFacts p :
                model.parameters().stream()
                        .sorted(Comparator.comparing(ParameterFacts::name))
                        .toList()) {
            if (p.name().equals(name)) {
                return Math.toIntExact(at);
            }
            at += p.shape().count();
        }
        throw new IllegalArgumentException(name);
    }

    private static ByteBuffer held(Path file, String name, Shape shape) throws IOException {
        TorchFile torch = TorchFile.open(file);
        TensorEntry tensor =
                new TorchContents(torch)
                        .tensor(torch.tree().find("model", name).orElseThrow())
                        .orElseThrow();
        assertThat(tensor.shape()).isEqualTo(shape);
        return ByteBuffer.wrap(Files.readAllBytes(file))
                .order(ByteOrder.LITTLE_ENDIAN)
                .slice(Math.toIntExact(tensor.offset()), Math.toIntExact(tensor.size()))
                .order(ByteOrder.LITTLE_ENDIAN);
    }

    @Test
    void ranksHoldTheirExpertsOneBehindTheOther() throws IOException {
        FamilyModel model = FamilyModel.read(FAMILY);
        Path hub = model.write(folder.resolve("hub"));
        Path out = megatron(hub, "megatron", FAMILY, 2, 2, "out");
        int tp = 1;
        int ep = 1;
        Path file = out.resolve("release/mp_rank_01_001/model_optim_rng.pt");
        String layer = "decoder.layers.1.mlp.experts.";
        ByteBuffer one = held(file, layer + "weight1", Shape.of(HIDDEN, 2 * WIDTH));
        ByteBuffer two = held(file, layer + "weight2", Shape.of(WIDTH, HIDDEN));
        int half = WIDTH / 2;
        for (int e = 0; e < 2; e++) {
            String name = "model.layers.1.block_sparse_moe.experts.%d.".formatted(2 * ep + e);
            int gate = first(model, name + "w1.weight");
            int up = first(model, name + "w3.weight");
            int down = first(model, name + "w2.weight");
            for (int h = 0; h < HIDDEN; h++) {
                for (int c = 0; c < half; c++) {
                    int row = (e * HIDDEN + h) * WIDTH;
                    int at = tp * half + c;
                    assertThat(one.getInt(4 * (row + c))).isEqualTo(gate + at * HIDDEN + h);
                    assertThat(one.getInt(4 * (row + half + c))).isEqualTo(up + at * HIDDEN + h);
                    assertThat(two.getInt(4 * ((e * half + c) * HIDDEN + h)))
                            .isEqualTo(down + h * WIDTH + at);
                }
            }
        }
        TorchFile torch = TorchFile.open(file);
        for (String said : List.of("moe_grouped_gemm", "moe_use_legacy_grouped_gemm", "swiglu")) {
            assertThat(torch.tree().find("args", said).flatMap(v -> v.asBool())).contains(true);
        }
    }

    @ParameterizedTest
    @CsvSource({"'',1,1", "'',2,1", "'',1,2", "'',2,2", "megatron_core_mixtral_hf,1,2"})
    void aShardedCheckpointIsTheSameState(String apart, int tp, int ep) throws IOException {
        Path hub = FamilyModel.read(FAMILY).write(folder.resolve("hub"));
        Path grouped = megatron(hub, "megatron", FAMILY, 2, 2, "grouped");
        Path dist = megatron(grouped, "megatron-dist", apart, tp, ep, "dist");
        Path back = megatron(dist, "megatron", apart.isEmpty() ? "" : FAMILY, 2, 2, "back");
        assertThat(weights(back)).isEqualTo(weights(grouped)).hasSize(2 * 2);
    }

    /// Rank -> name -> bytes.
    private static Map<String, Map<String, ByteBuffer>> weights(Path checkpoint)
            throws IOException {
        Map<String, Map<String, ByteBuffer>> all = new TreeMap<>();
        for (String rank : List.of("00_000", "00_001", "01_000", "01_001")) {
            Path file = checkpoint.resolve("release/mp_rank_%s/model_optim_rng.pt".formatted(rank));
            TorchFile torch = TorchFile.open(file);
            PyDict model = torch.tree().find("model").flatMap(PickleValue::asDict).orElseThrow();
            Map<String, ByteBuffer> held = new TreeMap<>();
            for (PyDict.Entry entry : model.entries()) {
                String name = entry.key().asText().orElseThrow();
                Optional<TensorEntry> tensor = new TorchContents(torch).tensor(entry.value());
                if (tensor.isPresent()) {
                    held.put(name, held(file, name, tensor.get().shape()));
                }
            }
            all.put(rank, held);
        }
        return all;
    }
}
