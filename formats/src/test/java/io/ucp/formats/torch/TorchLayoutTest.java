package io.ucp.formats.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.ucp.formats.TargetFile;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PickleWriter;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.io.ChecksumField;
import io.ucp.tensor.DType;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

class TorchLayoutTest {
    @TempDir Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"state.pt", "optimizer_state.pt", "step.pt"})
    void aFileOfTorchsIsWrittenBackToTheByte(String name) throws IOException {
        Path path = SmallTorchFiles.writtenByTorch(folder, name);
        byte[] original = Files.readAllBytes(path);
        TorchFile file = TorchFile.open(path);
        String prefix = file.root() + "/data/";
        List<TorchStorage> storages = new ArrayList<>();
        String id = "";
        for (TorchRecord record : file.records()) {
            if (record.name().startsWith(prefix)) {
                storages.add(
                        new TorchStorage(record.name().substring(prefix.length()), record.size()));
            } else if (record.name().endsWith("/.data/serialization_id")) {
                id = new String(original, (int) record.offset(), 40, StandardCharsets.US_ASCII);
            }
        }
        byte[] pickle = PickleWriter.write(file.tree());
        TorchLayout layout = TorchLayout.of(file.root(), pickle, storages, id);
        ByteBuffer written = ByteBuffer.allocate((int) layout.size());
        layout.literals().forEach(l -> written.put((int) l.offset(), l.bytes()));
        for (TorchStorage storage : storages) {
            TorchRecord record = file.storage(storage.key()).orElseThrow();
            written.put(
                    (int) layout.storageOffset(storage.key()),
                    original,
                    (int) record.offset(),
                    (int) record.size());
        }
        for (ChecksumField field : layout.checksums()) {
            CRC32 crc = new CRC32();
            crc.update(written.array(), (int) field.from(), (int) field.size());
            field.at()
                    .forEach(
                            at ->
                                    written.putInt(
                                            at.intValue(),
                                            Integer.reverseBytes((int) crc.getValue())));
        }
        assertThat(written.array()).isEqualTo(original);
    }

    @Test
    void whatIsWrittenIsReadByAnotherZipReader() throws IOException {
        Path path = SmallTorchFiles.oneTensor(folder);
        try (ZipFile zip = new ZipFile(path.toFile())) {
            assertThat(zip.stream().map(ZipEntry::getName))
                    .containsExactly(
                            "one/data.pkl",
                            "one/.format_version",
                            "one/.storage_alignment",
                            "one/byteorder",
                            "one/data/0",
                            "one/version",
                            "one/.data/serialization_id");
            byte[] data = zip.getInputStream(zip.getEntry("one/data/0")).readAllBytes();
            assertThat(data).hasSize(24).startsWith(0, 1, 2);
            byte[] id =
                    zip.getInputStream(zip.getEntry("one/.data/serialization_id")).readAllBytes();
            assertThat(new String(id, StandardCharsets.US_ASCII)).matches("[0-9]{40}");
        }
    }

    @Test
    void storagesAreAlignedWhateverTheirNamesAndSizes() {
        List<TorchStorage> storages = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            storages.add(new TorchStorage("k".repeat(1 + i % 70) + i, (i * 37L) % 301));
        }
        TorchLayout layout = TorchLayout.of("archive", PyNone.NONE, storages);
        TargetFile file =
                layout.file(
                        "x/archive.pt",
                        key -> {
                            long size =
                                    storages.stream()
                                            .filter(s -> s.key().equals(key))
                                            .findFirst()
                                            .orElseThrow()
                                            .size();
                            return List.of(
                                    new TargetFile.Part.Zeros(layout.storageOffset(key), size));
                        });
        assertThat(file.size()).isEqualTo(layout.size());
        assertThat(storages).allMatch(s -> layout.storageOffset(s.key()) % 64 == 0);
        assertThat(layout.checksums())
                .hasSize((int) storages.stream().filter(s -> s.size() > 0).count());
    }

    @Test
    void emptyStoragesAndEmptyFilesAreRead() throws IOException {
        Path path = folder.resolve("empty.pt");
        PickleValue tree =
                PyList.of(
                        SmallTorchFiles.tensor(DType.FLOAT32, "0", 0),
                        SmallTorchFiles.tensor(DType.FLOAT32, "1", 1));
        TorchWriter.write(path, tree, SmallTorchFiles.storages(0, 4));
        TorchFile file = TorchFile.open(path);
        assertThat(file.storage("0").orElseThrow().size()).isZero();
        file.verifyCrc(file.storage("1").orElseThrow());
        TorchWriter.write(path, PyNone.NONE, SmallTorchFiles.storages());
        assertThat(TorchFile.open(path).tree()).isEqualTo(PyNone.NONE);
    }

    @Test
    void recordsPastFourGibibytesAreZip64() throws IOException {
        long large = (1L << 32) + 12;
        Map<String, PickleValue> tensors = new LinkedHashMap<>();
        tensors.put("large", SmallTorchFiles.tensor(DType.UINT8, "0", large));
        tensors.put("after", SmallTorchFiles.tensor(DType.UINT8, "1", 10));
        List<TorchStorage> storages =
                List.of(new TorchStorage("0", large), new TorchStorage("1", 10));
        TorchLayout layout = TorchLayout.of("archive", PyDict.of(tensors), storages);
        Path path = folder.resolve("large.pt");
        try (FileChannel channel =
                FileChannel.open(
                        path,
                        StandardOpenOption.CREATE_NEW,
                        StandardOpenOption.SPARSE,
                        StandardOpenOption.WRITE)) {
            for (TargetFile.Part.Literal literal : layout.literals()) {
                channel.write(ByteBuffer.wrap(literal.bytes()), literal.offset());
            }
        }
        assertThat(Files.size(path)).isEqualTo(layout.size());
        TorchFile file = TorchFile.open(path);
        TorchTensor first = file.tensor(file.tree().find("large").orElseThrow()).orElseThrow();
        TorchTensor after = file.tensor(file.tree().find("after").orElseThrow()).orElseThrow();
        assertThat(first.size()).isEqualTo(large);
        assertThat(file.position(after)).isGreaterThan(large).isEqualTo(layout.storageOffset("1"));
        assertThat(file.position(after) % 64).isZero();
        try (ZipFile zip = new ZipFile(path.toFile())) {
            assertThat(zip.getEntry("archive/data/0").getSize()).isEqualTo(large);
            assertThat(zip.getEntry("archive/data/1").getSize()).isEqualTo(10);
        }
    }

    @Test
    void moreRecordsThanSixteenBitsCountAreZip64() throws IOException {
        int count = 70_000;
        List<PickleValue> tensors = new ArrayList<>();
        int[] sizes = new int[count];
        for (int i = 0; i < count; i++) {
            tensors.add(SmallTorchFiles.tensor(DType.UINT8, Integer.toString(i), 1));
            sizes[i] = 1;
        }
        Path path = folder.resolve("many.pt");
        TorchWriter.write(path, PyList.of(tensors), SmallTorchFiles.storages(sizes));
        TorchFile file = TorchFile.open(path);
        assertThat(file.records()).hasSize(count + 6);
        assertThat(file.tree().asSequence().orElseThrow())
                .allMatch(node -> file.tensor(node).isPresent());
    }

    @Test
    void theRootIsTheStemAsTorchTakesIt() {
        assertThat(TorchLayout.rootOf("a/b/mp_rank_00_model_states.pt"))
                .isEqualTo("mp_rank_00_model_states");
        assertThat(TorchLayout.rootOf("llama.consolidated.pt")).isEqualTo("llama.consolidated");
        assertThat(TorchLayout.rootOf("plain")).isEqualTo("plain");
        assertThat(TorchLayout.rootOf(".pt")).isEqualTo("archive");
        assertThat(TorchLayout.rootOf("\u00e9.pt")).isEqualTo("archive");
    }

    @Test
    void theSameStateGivesTheSameBytes() throws IOException {
        byte[] once = Files.readAllBytes(SmallTorchFiles.oneTensor(folder));
        byte[] twice = Files.readAllBytes(SmallTorchFiles.oneTensor(folder));
        assertThat(once).isEqualTo(twice);
        try (var files = Files.list(folder)) {
            assertThat(files).hasSize(1);
        }
    }

    @Test
    void aStorageTwiceOrARootThatIsNoFolderIsAMistakeOfTheCaller() {
        TorchStorage storage = new TorchStorage("0", 1);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> TorchLayout.of("a", PyNone.NONE, List.of(storage, storage)))
                .withMessageContaining("storage '0' twice");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> TorchLayout.of("a/b", PyNone.NONE, List.of()));
        assertThatIllegalArgumentException().isThrownBy(() -> new TorchStorage("0", -1));
    }
}
