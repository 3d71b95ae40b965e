package io.ucp.formats.torch;

import static io.ucp.formats.torch.SmallTorchFiles.latin1;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.ucp.formats.torch.pickle.PickleWriter;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.io.MalformedFileException;
import io.ucp.io.PlainFile;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

class MalformedContainerTest {
    private static final byte[] NONE = PickleWriter.write(PyNone.NONE);

    @TempDir Path folder;

    private Path file(byte[] bytes) throws IOException {
        return Files.write(folder.resolve("bad.pt"), bytes);
    }

    private void refused(byte[] bytes, String... messages) throws IOException {
        Path file = file(bytes);
        assertThatExceptionOfType(MalformedFileException.class)
                .isThrownBy(() -> TorchFile.open(file))
                .satisfies(e -> assertThat(e.getMessage()).contains(messages));
    }

    private static byte[] good() {
        return SmallTorchFiles.torchZip(NONE, Map.of("version", latin1("3\n")));
    }

    /// `good()` with one little-endian number replaced.
    private static byte[] with(int at, int size, long value) {
        byte[] bytes = good();
        for (int i = 0; i < size; i++) {
            bytes[at + i] = (byte) (value >> (8 * i));
        }
        return bytes;
    }

    private static int central(byte[] bytes) {
        return (int)
                ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong(wideEnd(bytes) + 48);
    }

    private static int wideEnd(byte[] bytes) {
        return bytes.length - 22 - 20 - 56;
    }

    private static int end(byte[] bytes) {
        return bytes.length - 22;
    }

    @Test
    void theUnchangedFileIsRead() throws IOException {
        assertThat(TorchFile.open(file(good())).tree()).isEqualTo(PyNone.NONE);
    }

    @Test
    void otherKindsAreNamed() throws IOException {
        refused(new byte[0], "an empty file");
        refused(latin1("hello, this is not a zip"), "not a torch.save file");
        refused(
                latin1("\u0080\u0002\u008a\nl\u00fc\u009cF\u00f9 j\u00a8P\u0019."),
                "a legacy torch.save file",
                "save it again");
        refused(latin1("\u0080\u0004N."), "a bare pickle");
        refused(latin1("PYTORCH1............"), "torch 1.0 preview");
        byte[] tar = new byte[1024];
        System.arraycopy(latin1("ustar"), 0, tar, 257, 5);
        refused(tar, "a tar file");
        refused(
                SmallTorchFiles.torchZip(NONE, Map.of("constants.pkl", NONE)),
                "a TorchScript archive",
                "state_dict()");
        refused(
                SmallTorchFiles.torchZip(NONE, Map.of("code/__torch__.py", NONE)),
                "a TorchScript archive");
        refused(SmallTorchFiles.zip(List.of(Map.entry("a/b", NONE))), "no record 'a/data.pkl'");
        refused(SmallTorchFiles.zip(List.of(Map.entry("data.pkl", NONE))), "outside of any folder");
    }

    @Test
    void bigEndianFilesAreRefusedWithARemedy() throws IOException {
        refused(
                SmallTorchFiles.torchZip(NONE, Map.of("byteorder", latin1("big"))),
                "byte order 'big'",
                "little-endian machine");
        refused(
                SmallTorchFiles.torchZip(NONE, Map.of("byteorder", new byte[100])),
                "a byteorder of 100 bytes");
    }

    @Test
    void aFlippedByteInThePickleIsFound() throws IOException {
        byte[] bytes = good();
        bytes[64 + 2] ^= 1;
        refused(bytes, "'archive/data.pkl' has the CRC-32", "at byte 64");
    }

    @Test
    void everyCutIsFound() throws IOException {
        byte[] bytes = good();
        for (int length = 0; length < bytes.length; length++) {
            refused(Arrays.copyOf(bytes, length), "expected");
        }
    }

    @Test
    void endRecordsThatLieAreRefused() throws IOException {
        byte[] bytes = good();
        refused(with(end(bytes), 1, 'X'), "no zip end record");
        refused(with(end(bytes) + 20, 2, 1), "no zip end record");
        refused(with(end(bytes) + 4, 2, 1), "several disks");
        refused(with(end(bytes) + 16, 4, 0), "two end records that disagree");
        refused(with(end(bytes) + 10, 2, 3), "several disks");
        refused(with(wideEnd(bytes) + 32, 8, 3), "two end records that disagree");
        refused(with(wideEnd(bytes) + 56 + 8, 8, 0), "a zip64 end record at 0");
        refused(with(wideEnd(bytes) + 56 + 8, 8, -1), "a zip64 end record at -1");
        byte[] absurd = with(wideEnd(bytes) + 32, 8, Long.MAX_VALUE);
        long max = Long.MAX_VALUE;
        ByteBuffer.wrap(absurd)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(wideEnd(bytes) + 24, max)
                .putShort(end(bytes) + 8, (short) -1)
                .putShort(end(bytes) + 10, (short) -1);
        refused(absurd, "9223372036854775807 records");
        byte[] far = good();
        ByteBuffer.wrap(far)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(wideEnd(bytes) + 48, max)
                .putInt(end(bytes) + 16, -1);
        refused(far, "a directory of");
        byte[] narrow = with(wideEnd(bytes) + 56, 1, 'X');
        refused(narrow, "a directory of");
    }

    @Test
    void directoryEntriesThatLieAreRefused() throws IOException {
        int central = central(good());
        refused(with(central, 1, 'X'), "no directory entry");
        refused(with(central + 8, 2, 0x809), "is encrypted", "decrypt");
        refused(with(central + 10, 2, 8), "is compressed (method 8)", "save it again");
        refused(with(central + 16, 4, 0), "another size or CRC-32");
        refused(with(central + 20, 4, 3), "of 4 bytes stored as 3");
        refused(with(central + 24, 4, 3), "of 3 bytes stored as 4");
        refused(with(central + 24, 4, 0xffffffffL), "no zip64 extra field");
        refused(with(central + 28, 2, 0xffff), "past the directory's end");
        refused(with(central + 30, 2, 1), "no directory entry");
        refused(with(central + 42, 4, 1), "no header for 'archive/data.pkl'");
        refused(with(central + 42, 4, 1 << 30), "84 bytes that no record of the directory holds");
        refused(with(central + 46, 1, 'b'), "the header of another record");
        byte[] sizes = with(central + 20, 4, 1000);
        ByteBuffer.wrap(sizes).order(ByteOrder.LITTLE_ENDIAN).putInt(central + 24, 1000);
        refused(sizes, "overlaps");
        byte[] shorter = with(central + 20, 4, 3);
        ByteBuffer.wrap(shorter).order(ByteOrder.LITTLE_ENDIAN).putInt(central + 24, 3);
        refused(shorter, "17 bytes that no record of the directory holds");
    }

    @Test
    void localHeadersThatLieAreRefused() throws IOException {
        refused(with(6, 2, 0x809), "is encrypted");
        refused(with(6, 2, 0x800), "another size or CRC-32");
        refused(with(8, 2, 8), "is compressed");
        refused(with(26, 2, 5), "the header of another record");
        refused(with(28, 2, 0xffff), "overlaps");
        refused(with(30, 1, 'b'), "the header of another record");
        refused(with(64 + 4 + 4, 4, 7), "another size or CRC-32 of 'archive/data.pkl'");
        refused(with(64 + 4 + 8, 4, 7), "another size or CRC-32 of 'archive/data.pkl'");
    }

    @Test
    void localExtraFieldsThatLieAreRefused() throws IOException {
        int extra = 30 + "archive/data.pkl".length();
        ByteBuffer good = ByteBuffer.wrap(good()).order(ByteOrder.LITTLE_ENDIAN);
        int size = Short.toUnsignedInt(good.getShort(28));
        assertThat(size).isGreaterThan(8);
        refused(with(18, 4, 7), "another size or CRC-32");
        refused(with(28, 2, size - 1), "that do not end where its data begins");
        refused(with(extra + 2, 2, size), "that do not end where its data begins");
        refused(with(extra + 6, 1, 'z'), "an extra field of 'archive/data.pkl'");
    }

    /// Bytes before a record, and before the directory.
    @Test
    void bytesOfNoRecordAreRefused() throws IOException {
        byte[] good = good();
        int second = 0;
        for (int at = 4; second == 0; at++) {
            boolean header = good[at] == 'P' && good[at + 1] == 'K' && good[at + 2] == 3;
            second = header ? at : 0;
        }
        refused(shifted(second, 12), "28 bytes that no record of the directory holds");
        refused(shifted(central(good), 1), "17 bytes that no record of the directory holds");
        refused(shifted(0, 4), "expected");
    }

    /// `good()` with zeros put in, and the directory moved.
    private static byte[] shifted(int at, int count) {
        byte[] good = good();
        int central = central(good);
        byte[] bytes = new byte[good.length + count];
        System.arraycopy(good, 0, bytes, 0, at);
        System.arraycopy(good, at, bytes, at + count, good.length - at);
        ByteBuffer out = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        for (int entry = central + count; out.getInt(entry) == 0x02014b50; ) {
            int header = out.getInt(entry + 42);
            out.putInt(entry + 42, header >= at ? header + count : header);
            entry += 46 + out.getShort(entry + 28) + out.getShort(entry + 30);
        }
        int wide = bytes.length - 22 - 20 - 56;
        out.putLong(wide + 48, central + count).putLong(wide + 56 + 8, wide);
        out.putInt(bytes.length - 22 + 16, central + count);
        return bytes;
    }

    @Test
    void twoRecordsOfOneNameAreRefused() throws IOException {
        refused(
                SmallTorchFiles.zip(
                        List.of(
                                Map.entry("a/data.pkl", NONE),
                                Map.entry("a/x", NONE),
                                Map.entry("a/x", NONE))),
                "'a/x' twice");
    }

    @Test
    void namesAreLabelsAndNeverPaths() throws IOException {
        byte[] bytes = SmallTorchFiles.torchZip(NONE, Map.of("../../data/../escape", latin1("x")));
        TorchFile file = TorchFile.open(file(bytes));
        assertThat(file.records())
                .extracting(TorchRecord::name)
                .contains("archive/../../data/../escape");
        try (var files = Files.list(folder)) {
            assertThat(files).hasSize(1);
        }
    }

    @Test
    void anItemOutsideOfItsFileIsRefused() throws IOException {
        PlainFile source = PlainFile.of(file(good()));
        for (long[] place : new long[][] {{-1, 10}, {0, -1}, {0, 1 << 20}, {Long.MAX_VALUE, 1}}) {
            assertThatExceptionOfType(MalformedFileException.class)
                    .isThrownBy(() -> TorchFile.open(source, place[0], place[1]))
                    .withMessageContaining("an item");
        }
    }

    @Test
    void anyDamageIsRefusedOrHarmless() throws IOException {
        byte[] good = Files.readAllBytes(SmallTorchFiles.writtenByTorch(folder, "state.pt"));
        SplittableRandom random = new SplittableRandom(20260825);
        int refused = 0;
        for (int i = 0; i < 2000; i++) {
            byte[] bad = good.clone();
            int flips = 1 + random.nextInt(3);
            for (int f = 0; f < flips; f++) {
                bad[random.nextInt(bad.length)] ^= (byte) (1 << random.nextInt(8));
            }
            if (random.nextInt(4) == 0) {
                bad = Arrays.copyOf(bad, random.nextInt(bad.length));
            }
            try {
                TorchFile.open(new MemoryFile(bad));
            } catch (MalformedFileException e) {
                refused++;
            }
        }
        assertThat(refused).isGreaterThan(500);
    }

    @Test
    void aDamagedPickleWithARightChecksumIsRefusedOrRead() throws IOException {
        byte[] good = SmallTorchFiles.pickleOf(SmallTorchFiles.writtenByTorch(folder, "state.pt"));
        SplittableRandom random = new SplittableRandom(7);
        int refused = 0;
        for (int i = 0; i < 2000; i++) {
            byte[] bad = good.clone();
            for (int f = 0; f <= random.nextInt(4); f++) {
                bad[random.nextInt(bad.length)] = (byte) random.nextInt(256);
            }
            try {
                TorchFile file =
                        TorchFile.open(new MemoryFile(SmallTorchFiles.torchZip(bad, Map.of())));
                assertThat(TreeText.of(file.tree())).isNotEmpty();
            } catch (MalformedFileException e) {
                refused++;
            }
        }
        assertThat(refused).isGreaterThan(500);
    }
}
