package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.execute.Progress;
import io.ucp.formats.RefusedException;
import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.distcp.ItemReader;
import io.ucp.formats.distcp.StateDictEntry;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/// Checkpoints that torch wrote, written again: the same files, but for what says who wrote them.
class DcpSampleTest {
    private static final Path WRITTEN_BY_TORCH =
            Path.of("../formats/src/test/resources/io/ucp/formats/dcp");

    /// A hash over an item, which torch makes of its data and ucp of its sizes.
    private static final String SERIALIZATION_ID = "archive/.data/serialization_id";

    @TempDir Path folder;

    private Path run(Path source, String to, String name, Map<String, String> options)
            throws IOException {
        Path output = folder.resolve(name);
        Request request =
                new Request(source, Optional.empty(), to, Optional.empty(), Map.of(), options);
        Conversion.run(Conversion.prepare(request), output, RunOptions.standard(), Progress.NONE);
        return output;
    }

    /// The same files, keys, chunks and places, and the same bytes in each item.
    private static void assertSame(Path expected, Path found) throws IOException {
        DistcpMetadata theirs = DistcpMetadata.read(expected);
        DistcpMetadata ours = DistcpMetadata.read(found);
        assertThat(ours.entries()).containsExactlyEntriesOf(theirs.entries());
        assertThat(ours.planner().orElseThrow().entries().stream().map(e -> e.key()))
                .containsExactlyElementsOf(
                        theirs.planner().orElseThrow().entries().stream()
                                .map(e -> e.key())
                                .toList());
        ItemReader.open(found, ours);
        for (String name : files(expected)) {
            assertThat(bytes(found.resolve(name))).isEqualTo(bytes(expected.resolve(name)));
        }
        assertThat(files(found)).isEqualTo(files(expected));
    }

    private static List<String> files(Path path) throws IOException {
        try (Stream<Path> files = Files.list(path)) {
            return files.map(f -> f.getFileName().toString())
                    .filter(name -> name.endsWith(".distcp"))
                    .sorted()
                    .toList();
        }
    }

    /// Without the ids and the checksums of these.
    private static String bytes(Path file) throws IOException {
        String text = Files.readString(file, StandardCharsets.ISO_8859_1);
        StringBuilder out = new StringBuilder(text);
        for (int at = text.indexOf(SERIALIZATION_ID);
                at >= 0;
                at = text.indexOf(SERIALIZATION_ID, at + 1)) {
            boolean local = text.startsWith("PK\u0003\u0004", at - 30);
            if (local) {
                int extra = text.charAt(at - 2) | text.charAt(at - 1) << 8;
                int data = at + SERIALIZATION_ID.length() + extra;
                out.replace(data, data + 48, "x".repeat(48));
            } else {
                out.replace(at - 30, at - 26, "xxxx");
            }
        }
        return out.toString();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "fsdp4",
                "fsdp2",
                "named",
                "numbered",
                "weights",
                "kinds/fsdp1",
                "kinds/fsdp2tp2"
            })
    void isTheSameAgain(String name) throws IOException {
        Path source = WRITTEN_BY_TORCH.resolve(name);
        assertSame(source, run(source, "dcp", "again", Map.of()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"fsdp4", "numbered"})
    void isTheSameByWayOfUniversal(String name) throws IOException {
        Path source = WRITTEN_BY_TORCH.resolve(name);
        Path universal = run(source, "universal", "universal", Map.of());
        assertSame(source, run(universal, "dcp", "back", Map.of()));
    }

    /// Flat parameters of FSDP1 in chunks of their own, replicas, and two dims cut: `NAME-whole` is
    /// what torch itself loaded of it, on one rank.
    @ParameterizedTest
    @ValueSource(strings = {"fsdp1", "hsdp1", "fsdp2tp2"})
    void holdsWhatTorchLoadsFromIt(String kind) throws IOException {
        Path kinds = WRITTEN_BY_TORCH.resolve("kinds");
        Verification.Verdict verdict =
                Verification.compare(
                        described(kinds.resolve(kind)),
                        described(kinds.resolve(kind + "-whole")),
                        RunOptions.standard(),
                        Progress.NONE);
        assertThat(verdict.differences()).isEmpty();
        assertThat(verdict.states()).isEqualTo(13);
    }

    /// Parameters have the names of the model inside; its own form has those of the wrappers again.
    @ParameterizedTest
    @ValueSource(strings = {"wrapped", "compiled"})
    void wrappersOfModulesComeBackWithTheForm(String kind) throws IOException {
        Path source = WRITTEN_BY_TORCH.resolve("kinds").resolve(kind);
        Path universal = run(source, "universal", "universal", Map.of());
        assertThat(described(universal).inventory().parameters())
                .extracting(p -> p.facts().name())
                .contains("block.up.weight");
        for (Path back :
                List.of(
                        run(source, "dcp", "again", Map.of("dp", "2")),
                        run(universal, "dcp", "back", Map.of()))) {
            assertThat(DistcpMetadata.read(back).entries().keySet())
                    .contains("model.module._orig_mod.block.up.weight")
                    .containsExactlyInAnyOrderElementsOf(
                            DistcpMetadata.read(source).entries().keySet());
            Verification.Verdict verdict =
                    Verification.compare(
                            described(source),
                            described(back),
                            RunOptions.standard(),
                            Progress.NONE);
            assertThat(verdict.differences()).isEmpty();
            assertThat(verdict.states()).isEqualTo(13);
        }
    }

    private static Described described(Path path) throws IOException {
        return Described.of(path, Optional.empty(), Optional.empty(), Map.of());
    }

    /// What a state dict of torch's has a place for comes back; the rest is told key by key.
    @ParameterizedTest
    @ValueSource(
            strings = {"fsdp4", "named", "numbered", "weights", "kinds/fsdp2tp2", "kinds/compiled"})
    void asAFolderOfTorchsItIsWeightsAndStatesAndBackTheSame(String name) throws IOException {
        Path source = WRITTEN_BY_TORCH.resolve(name);
        boolean trained = !name.equals("weights");
        Path model = run(source, "torch", "model", Map.of("with-optimizer", "true"));
        assertThat(names(model))
                .isEqualTo(
                        trained && !name.equals("numbered")
                                ? List.of("optimizer.pt", "pytorch_model.bin")
                                : List.of("pytorch_model.bin"));
        for (Path back : List.of(model, run(model, "dcp", "back", Map.of()))) {
            Verification.Verdict verdict =
                    Verification.compare(
                            described(source),
                            described(back),
                            RunOptions.standard(),
                            Progress.NONE);
            assertThat(verdict.differences()).isEmpty();
            assertThat(verdict.states()).isPositive();
        }
    }

    private static List<String> names(Path path) throws IOException {
        try (Stream<Path> files = Files.list(path)) {
            return files.map(f -> f.getFileName().toString()).sorted().toList();
        }
    }

    private static List<String> losses(Path source, String to, Map<String, String> options)
            throws IOException {
        Request request =
                new Request(source, Optional.empty(), to, Optional.empty(), Map.of(), options);
        return Conversion.prepare(request).tree().losses();
    }

    @Test
    void whatAModelsFolderHasNoPlaceForIsToldByItsKeys() throws IOException {
        assertThat(
                        losses(
                                WRITTEN_BY_TORCH.resolve("fsdp4"),
                                "torch",
                                Map.of("with-optimizer", "true")))
                .singleElement()
                .asString()
                .startsWith("of the state dict, for which a model's folder has no place: ")
                .doesNotContain("step", "params", "state_dict.pt");
        assertThat(losses(WRITTEN_BY_TORCH.resolve("weights"), "safetensors", Map.of())).isEmpty();
    }

    @Test
    void whatTorch113WroteIsTheSameStateInTodaysForm() throws IOException {
        Path source = WRITTEN_BY_TORCH.resolve("kinds/torch-1.13");
        Path today = run(source, "dcp", "today", Map.of());
        Verification.Verdict verdict =
                Verification.compare(
                        described(source), described(today), RunOptions.standard(), Progress.NONE);
        assertThat(verdict.differences()).isEmpty();
        assertThat(verdict.states()).isEqualTo(6);
        assertThat(DistcpMetadata.read(today).entries())
                .containsOnlyKeys(DistcpMetadata.read(source).entries().keySet());
    }

    /// Replicas hold nothing else, so the files are laid out for one of them.
    @Test
    void replicasAreWrittenOnce() throws IOException {
        Path source = WRITTEN_BY_TORCH.resolve("kinds/hsdp1");
        Path again = run(source, "dcp", "again", Map.of());
        assertThat(files(source)).hasSize(4);
        assertThat(files(again)).containsExactly("__0_0.distcp", "__1_0.distcp");
        assertThat(DistcpMetadata.read(again).entries().keySet())
                .containsExactlyInAnyOrderElementsOf(
                        DistcpMetadata.read(source).entries().keySet());
    }

    @Test
    void isCutAsTorchCutsItForOtherRanks() throws IOException {
        Path four = WRITTEN_BY_TORCH.resolve("fsdp4");
        Path two = run(four, "dcp", "two", Map.of("dp", "2"));
        Map<String, StateDictEntry> golden =
                DistcpMetadata.read(WRITTEN_BY_TORCH.resolve("fsdp2")).entries();
        assertThat(DistcpMetadata.read(two).entries()).containsExactlyEntriesOf(golden);
        assertSame(four, run(two, "dcp", "four", Map.of("dp", "4")));
    }

    @Test
    void aSourceThatSaysNotWhichDimIsCutHasNoTensorParallelRanks() {
        assertThatThrownBy(
                        () ->
                                run(
                                        WRITTEN_BY_TORCH.resolve("fsdp4"),
                                        "dcp",
                                        "tp",
                                        Map.of("tp", "2")))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("which dim of a parameter tensor parallelism cuts");
    }

    @Test
    void anotherFormatsStateHasTheKeysOfGetStateDict() throws IOException {
        Path out = run(Path.of("../samples/llama-tp2-pp2-dp2/checkpoint"), "dcp", "out", Map.of());
        Described read = Described.of(out, Optional.empty(), Optional.empty(), Map.of());
        String name = read.inventory().parameters().getFirst().name();
        assertThat(DistcpMetadata.read(out).entries())
                .containsKeys(
                        "model." + name,
                        "optim.state." + name + ".exp_avg",
                        "optim.state." + name + ".fp32",
                        "optim.state." + name + ".step");
        assertThat(read.inventory().parameters().getFirst().states().keySet())
                .containsExactly("exp_avg", "exp_avg_sq", "fp32", "weight");
    }

    @Test
    void aMasterWithoutWeightIsTheModels() throws IOException {
        Path out = run(Path.of("../samples/llama-zero3-dp4/checkpoint"), "dcp", "out", Map.of());
        assertThat(DistcpMetadata.read(out).entries())
                .containsKey("model.model.norm.weight")
                .doesNotContainKey("optim.state.model.norm.weight.fp32");
    }
}
