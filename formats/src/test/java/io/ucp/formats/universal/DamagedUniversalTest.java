package io.ucp.formats.universal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.io.MalformedFileException;
import io.ucp.io.PlainFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/// Damage to a checkpoint, at every byte.
class DamagedUniversalTest {
    private static final UniversalFormat FORMAT = new UniversalFormat();

    @TempDir Path temporary;

    private Path write(String compress) throws IOException {
        Path folder = temporary.resolve("checkpoint");
        List<ParameterFacts> parameters =
                List.of(
                        Samples.parameter("qkv", Shape.of(12, 5), Map.of("fp32", DType.FLOAT32)),
                        Samples.parameter("b", Shape.of(3), Map.of("fp32", DType.FLOAT32)),
                        Samples.parameter("e", Shape.of(0), Map.of("fp32", DType.FLOAT32)));
        Samples.write(
                new UniversalFormat(Samples.TINY),
                folder,
                parameters,
                Samples.carried(temporary),
                Map.of("compress", compress));
        return folder;
    }

    private static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(Files::isRegularFile).sorted().toList();
        }
    }

    /// Everything that notices damage: the index, the archives, and reading all tensors.
    private static void readAll(Path folder) throws IOException {
        CheckpointIndex index = Samples.index(folder);
        for (Finding finding : FORMAT.damage(index)) {
            throw new MalformedFileException(folder, -1, finding.message(), "none", "");
        }
        for (WholeParameter whole : index.wholes()) {
            for (TensorEntry tensor : whole.tensors().values()) {
                Samples.read(tensor);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"none", "zstd", "zstd+shuffle"})
    void noticesOneFlippedBitAnywhereButInRawTensors(String compress) throws IOException {
        Path folder = write(compress);
        for (Path file : files(folder)) {
            byte[] good = Files.readAllBytes(file);
            // Raw tensors are under the digests of the manifest, which are the executor's.
            BitSet raw = raw(folder, file, ByteBuffer.wrap(good));
            List<Integer> missed = new ArrayList<>();
            for (int at = raw.nextClearBit(0); at < good.length; at = raw.nextClearBit(at + 1)) {
                byte[] bad = good.clone();
                bad[at] ^= (byte) (1 << at % 8);
                Files.write(file, bad);
                try {
                    readAll(folder);
                    missed.add(at);
                } catch (MalformedFileException _) {
                    // As it should be: nothing else may be thrown.
                }
            }
            assertThat(missed).as("flips unnoticed in %s", file).isEmpty();
            Files.write(file, good);
        }
        readAll(folder);
    }

    @Test
    void refusesACarriedTreeThatWouldRunSomething() throws IOException {
        Path folder = temporary.resolve("checkpoint");
        CarriedFile carried =
                new CarriedFile(
                        "mp_rank_00_model_states.pt",
                        "model_states",
                        Coordinate.NONE,
                        Optional.empty(),
                        Optional.of(
                                PyObject.call(new PyGlobal("os", "system"), PyText.of("touch x"))),
                        Map.of());
        Samples.write(FORMAT, folder, Samples.parameters(), List.of(carried), Map.of());
        assertThatThrownBy(() -> Samples.index(folder))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("mp_rank_00_model_states.pt.zip: its pickle calls os.system");
    }

    private static BitSet raw(Path folder, Path file, ByteBuffer content) throws IOException {
        BitSet bytes = new BitSet();
        boolean compressed =
                ManifestReader.read(folder).files().getFirst().compression().compresses();
        for (WholeParameter whole : Samples.index(folder).wholes()) {
            for (TensorEntry tensor : whole.tensors().values()) {
                if (!tensor.source().path().equals(file)) {
                    continue;
                }
                if (tensor.source() instanceof StateFileView view) {
                    for (int b = 0; b < view.bodies.length; b++) {
                        long[] stored = view.stored(b);
                        for (int part = 0; part < stored.length; part++) {
                            int from = (int) (view.bodies[b] + ArrowFraming.offset(stored, part));
                            int end = from + (int) stored[part];
                            if (compressed && from < end && content.getLong(from) == -1) {
                                bytes.set(from + 8, end);
                            } else if (!compressed) {
                                bytes.set(from, end);
                            }
                        }
                    }
                } else {
                    bytes.set((int) tensor.offset(), (int) (tensor.offset() + tensor.size()));
                }
            }
        }
        return bytes;
    }

    @ParameterizedTest
    @ValueSource(strings = {"none", "zstd", "zstd+shuffle"})
    void noticesFilesCutShortOrGrown(String compress) throws IOException {
        Path folder = write(compress);
        for (Path file : files(folder)) {
            byte[] good = Files.readAllBytes(file);
            for (int size = 0; size <= good.length + 64; size += size < 64 ? 1 : 37) {
                if (size == good.length) {
                    continue;
                }
                Files.write(file, Arrays.copyOf(good, size));
                assertThatThrownBy(() -> readAll(folder))
                        .as("%s of %d bytes", file, size)
                        .isInstanceOf(MalformedFileException.class)
                        .hasMessageContaining(file.getFileName().toString());
            }
            Files.write(file, good);
        }
    }

    @Test
    void saysWhichFileIsMissing() throws IOException {
        Path folder = write("none");
        for (Path file : files(folder)) {
            if (file.endsWith(Manifest.FILE)) {
                continue;
            }
            byte[] good = Files.readAllBytes(file);
            Files.delete(file);
            assertThatThrownBy(() -> readAll(folder))
                    .isInstanceOf(IncompleteCheckpointException.class)
                    .hasMessageContaining(file.getFileName().toString());
            Files.write(file, good);
        }
    }

    @Test
    void findsACheckpointWhoseManifestIsDamagedSoThatReadingItTellsWhatIsWrong()
            throws IOException {
        Path folder = write("none");
        Files.writeString(folder.resolve(Manifest.FILE), "garbage");
        List<Candidate> found = FORMAT.find(folder);
        assertThat(found).hasSize(1);
        assertThatThrownBy(() -> FORMAT.index(found.getFirst()))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("does not begin with a format, a version and a tag");
    }

    @Test
    void refusesStoragesWhosePartsDoNotFit() throws IOException {
        CarriedFile good = Samples.carried(temporary).getFirst();
        PlainFile bytes =
                PlainFile.of(Files.write(temporary.resolve("bytes"), new byte[] {1, 2, 3, 4}));
        Content.Raw first = new Content.Raw(0, bytes, 0, 4);
        Map<CarriedFile.Storage, String> wrong =
                Map.of(
                        new CarriedFile.Storage(-1, List.of()),
                                "size is -1; expected 0 or more bytes",
                        new CarriedFile.Storage(8, List.of(first, new Content.Raw(2, bytes, 0, 4))),
                                "offset is 2; expected 4 or more, where what is before it ends",
                        new CarriedFile.Storage(2, List.of(first)),
                                "offset is 0; expected within 2 bytes");
        for (Map.Entry<CarriedFile.Storage, String> each : wrong.entrySet()) {
            Path folder = Files.createTempDirectory(temporary, "wrong").resolve("checkpoint");
            CarriedFile carried =
                    new CarriedFile(
                            good.path(),
                            good.role(),
                            good.at(),
                            good.file(),
                            good.root(),
                            Map.of("0", each.getKey()));
            Samples.write(
                    FORMAT,
                    folder,
                    List.of(Samples.parameter("b", Shape.of(3), Map.of("fp32", DType.FLOAT32))),
                    List.of(carried),
                    Map.of());
            assertThatThrownBy(() -> Samples.index(folder))
                    .isInstanceOf(MalformedFileException.class)
                    .hasMessageContaining(each.getValue());
        }
    }
}
