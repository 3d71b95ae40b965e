package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import io.ucp.execute.Progress;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TorchRecord;
import io.ucp.io.Checksummed;
import io.ucp.io.MalformedFileException;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/// One bit of a tensor's data in a source: a conversion does not take it along.
class SourceDamageTest {
    private static final Path SAMPLE = Path.of("../samples/llama-tp2-pp2-dp2/checkpoint");

    @TempDir Path folder;
    private Path source;

    @BeforeEach
    void copySample() throws IOException {
        source = folder.resolve("source");
        Trees.copy(SAMPLE, source);
    }

    private Report convert(Path from, String to, String out) throws IOException {
        Request request =
                new Request(from, Optional.empty(), to, Optional.empty(), Map.of(), Map.of());
        return Conversion.run(
                Conversion.prepare(request),
                folder.resolve(out),
                RunOptions.standard(),
                Progress.NONE);
    }

    /// As a disk does it: the file's time stays.
    private static void flip(Path file, long at) throws IOException {
        FileTime time = Files.getLastModifiedTime(file);
        byte[] bytes = Files.readAllBytes(file);
        bytes[Math.toIntExact(at)] ^= 4;
        Files.write(file, bytes);
        Files.setLastModifiedTime(file, time);
    }

    @ParameterizedTest
    @CsvSource({
        "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt, universal",
        "bf16_zero_pp_rank_1_mp_rank_03_optim_states.pt, deepspeed-universal",
        "layer_02-model_00-model_states.pt, universal",
        "mp_rank_01_model_states.pt, universal"
    })
    void aFlippedBitOfATensorIsRefusedByFileAndEntry(String name, String to) throws IOException {
        Path file = source.resolve("global_step3").resolve(name);
        TorchRecord largest =
                TorchFile.open(file).records().stream()
                        .filter(r -> r.name().contains("/data/"))
                        .max(Comparator.comparingLong(TorchRecord::size))
                        .orElseThrow();
        flip(file, largest.end() - 2);

        assertThatThrownBy(() -> convert(source, to, "out"))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageStartingWith(
                        "%s at byte %d: '%s' has the CRC-32 "
                                .formatted(file, largest.offset(), largest.name()));
        assertThat(folder.resolve("out")).doesNotExist();
    }

    /// Of torch's distributed container, where items are files within a file, and of a model's
    /// folder.
    @ParameterizedTest
    @CsvSource({
        "../formats/src/test/resources/io/ucp/formats/dcp/fsdp2, .distcp",
        "../samples/hf-llama-bin/checkpoint, .bin"
    })
    void aFlippedBitOfOtherContainersIsRefusedByFileAndEntry(Path sample, String ending)
            throws IOException {
        Path other = folder.resolve("other");
        Trees.copy(sample, other);
        Path file = largest(other, ending);
        Request request =
                new Request(
                        other, Optional.empty(), "universal", Optional.empty(), Map.of(), Map.of());
        Prepared prepared = Conversion.prepare(request);
        Checksummed record = largestRecord(prepared, file);
        flip(file, record.offset() + record.size() / 2);

        assertThatThrownBy(() -> convert(other, "universal", "out"))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageStartingWith("%s at byte %d: ".formatted(file, record.offset()))
                .hasMessageContaining("has the CRC-32 ");
        assertThat(folder.resolve("out")).doesNotExist();

        // The very plan that was made before the damage.
        assertThatThrownBy(
                        () ->
                                Conversion.run(
                                        prepared,
                                        folder.resolve("out"),
                                        RunOptions.standard(),
                                        Progress.NONE))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("has the CRC-32 ");
        assertThat(folder.resolve("out")).doesNotExist();
    }

    private static Checksummed largestRecord(Prepared prepared, Path file) throws IOException {
        CheckpointIndex index = prepared.described().source().index();
        return Conversion.format(index.format())
                .checksums(index, Fingerprint.of(prepared).read())
                .stream()
                .filter(c -> c.source().path().endsWith(file.getFileName()))
                .filter(c -> c.name().contains("/data/"))
                .max(Comparator.comparingLong(Checksummed::size))
                .orElseThrow();
    }

    private static Path largest(Path root, String ending) throws IOException {
        try (Stream<Path> all = Files.walk(root)) {
            return all.filter(p -> p.toString().endsWith(ending))
                    .max(Comparator.comparingLong(p -> p.toFile().length()))
                    .orElseThrow();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"universal", "deepspeed-universal"})
    void aStateThatIsNotAsItsDigestSaysIsRefused(String to) throws IOException {
        convert(source, "universal", "universal");
        Path file;
        try (Stream<Path> all = Files.walk(folder.resolve("universal"))) {
            file =
                    all.filter(p -> p.toString().endsWith(".arrow"))
                            .max(Comparator.comparingLong(p -> p.toFile().length()))
                            .orElseThrow();
        }
        flip(file, Files.size(file) / 3);

        assertThatThrownBy(() -> convert(folder.resolve("universal"), to, "out"))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("bytes with the digest ")
                .hasMessageContaining("as the checkpoint recorded");
        assertThat(folder.resolve("out")).doesNotExist();
    }

    /// They are in no digest that another layout has too.
    @Test
    void aFlippedBitOfAPaddingRowIsFound() throws IOException {
        convert(source, "universal", "universal");
        Path universal = folder.resolve("universal");
        WholeParameter padded =
                OpenedSource.open(universal, Optional.empty()).index().wholes().stream()
                        .filter(whole -> whole.facts().padded())
                        .findFirst()
                        .orElseThrow();
        for (TensorEntry tensor : padded.tensors().values()) {
            flip(tensor.source().path(), tensor.offset() + tensor.size() - 1);
        }

        List<Verification.Difference> differences =
                Verification.check(
                                Described.of(
                                        universal, Optional.empty(), Optional.empty(), Map.of()),
                                RunOptions.standard(),
                                Progress.NONE)
                        .differences();
        assertThat(differences)
                .extracting(Verification.Difference::parameter, Verification.Difference::state)
                .containsExactlyInAnyOrderElementsOf(
                        padded.facts().states().keySet().stream()
                                .map(state -> tuple(padded.facts().name(), state + " with padding"))
                                .toList());
        assertThatThrownBy(() -> convert(universal, "universal", "out"))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("with padding")
                .hasMessageContaining("as the checkpoint recorded");
    }

    @Test
    void aSourceWithoutDamageIsConverted() throws IOException {
        convert(source, "universal", "universal");
        assertThat(
                        convert(folder.resolve("universal"), "deepspeed-universal", "again")
                                .parameters())
                .isPositive();
    }
}
