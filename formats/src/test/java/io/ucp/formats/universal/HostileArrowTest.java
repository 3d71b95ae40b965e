package io.ucp.formats.universal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.github.luben.zstd.Zstd;

import io.ucp.formats.Coordinate;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.pickle.PickleWriter;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.zip.CRC32;

/// State files with good checksums that say what is not so.
class HostileArrowTest {
    private static final int COUNT = 8;

    @TempDir Path folder;

    /// A checkpoint of one tensor of eight float32, whose file is then written by hand.
    private Path file(Compression compression) throws IOException {
        ParameterFacts facts = Samples.parameter("a", Shape.of(COUNT), Map.of("w", DType.FLOAT32));
        Samples.write(
                new UniversalFormat(),
                folder,
                List.of(facts),
                List.of(),
                Map.of("compress", compression.text()));
        return folder.resolve("states/w-00001.arrow");
    }

    private static String index() {
        ParameterFacts facts = Samples.parameter("a", Shape.of(COUNT), Map.of("w", DType.FLOAT32));
        StateFile.Tensor tensor = new StateFile.Tensor(facts, 0, 1);
        return new StateFile(
                        "states/w-00001.arrow",
                        "w",
                        DType.FLOAT32,
                        Compression.NONE,
                        COUNT,
                        List.of(tensor))
                .index();
    }

    private static byte[] arrow(
            byte[] header, byte[] message, byte[] body, ArrowFraming.Place... places) {
        return arrow(Compression.NONE, header, message, body, places);
    }

    private static byte[] arrow(
            Compression compression,
            byte[] header,
            byte[] message,
            byte[] body,
            ArrowFraming.Place... places) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(header);
        out.writeBytes(message);
        out.writeBytes(Arrays.copyOf(body, (int) ArrowFraming.padded(body.length)));
        out.writeBytes(ArrowFraming.end(DType.FLOAT32, compression, index(), places));
        return out.toByteArray();
    }

    private static byte[] header() {
        return ArrowFraming.header(DType.FLOAT32, Compression.NONE, index());
    }

    private void refuses(Path file, byte[] bytes, String message) throws IOException {
        // In an uncompressed file only where the sizes agree does one get further.
        Files.write(file, bytes);
        String manifest = Files.readString(folder.resolve(Manifest.FILE));
        String body =
                manifest.substring(0, manifest.lastIndexOf("\"checksum\""))
                        .replaceFirst(
                                "\"none\",\"batches\":1,\"size\":[0-9]+",
                                "\"none\",\"batches\":1,\"size\":" + bytes.length);
        byte[] ascii = body.getBytes(StandardCharsets.US_ASCII);
        int checksum = ArrowFraming.checksum(ascii, 0, ascii.length);
        Files.writeString(folder.resolve(Manifest.FILE), body + ManifestText.lastLine(checksum));
        assertThatThrownBy(() -> read())
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining(message);
    }

    private void read() throws IOException {
        for (TensorEntry tensor : Samples.index(folder).wholes().getFirst().tensors().values()) {
            Samples.read(tensor);
        }
    }

    @Test
    void lengthsAndPlacesOfBatches() throws IOException {
        Path file = file(Compression.NONE);
        byte[] header = header();
        byte[] message = ArrowFraming.batch(Compression.NONE, COUNT, 32);
        byte[] body = new byte[32];
        int h = header.length;
        int m = message.length;
        ArrowFraming.Place good = new ArrowFraming.Place(h, m, 64);
        refuses(
                file,
                arrow(header, message, body, new ArrowFraming.Place(h + 64, m, 64)),
                "it to begin here");
        refuses(
                file,
                arrow(header, message, body, new ArrowFraming.Place(h, m, Long.MAX_VALUE)),
                "it to begin here");
        refuses(
                file,
                arrow(header, message, body, new ArrowFraming.Place(h, m, -64)),
                "it to begin here");
        refuses(
                file,
                arrow(header, message, body, new ArrowFraming.Place(h, Integer.MAX_VALUE, 64)),
                "it to begin here");
        refuses(
                file,
                arrow(header, message, body, new ArrowFraming.Place(h, m, 0)),
                "another length than in the footer");
        refuses(file, arrow(header, message, body, good, good), "2 record batches");
        refuses(file, arrow(header, message, body), "0 record batches");
        refuses(
                file,
                arrow(header, ArrowFraming.batch(Compression.NONE, 7, 28), body, good),
                "1 elements less");
        refuses(
                file,
                arrow(header, ArrowFraming.batch(Compression.NONE, 9, 32), body, good),
                "9 rows");
        refuses(
                file,
                arrow(header, ArrowFraming.batch(Compression.NONE, 0, 32), body, good),
                "0 rows");
        refuses(
                file,
                arrow(header, ArrowFraming.batch(Compression.NONE, Long.MAX_VALUE, 32), body, good),
                "rows");
        refuses(
                file,
                arrow(header, ArrowFraming.batch(Compression.NONE, -1, 32), body, good),
                "-1 rows");
        refuses(
                file,
                arrow(header, ArrowFraming.batch(Compression.NONE, COUNT, 28), body, good),
                "28 bytes for 8 rows");
        refuses(
                file,
                arrow(header, ArrowFraming.batch(Compression.ZSTD, COUNT, 32), body, good),
                "a compressed batch");
    }

    @Test
    void anotherSchemaOrIndex() throws IOException {
        Path file = file(Compression.NONE);
        byte[] message = ArrowFraming.batch(Compression.NONE, COUNT, 32);
        byte[] body = new byte[32];
        Map<String, String> indices =
                Map.of(
                        "",
                        "w-00001.arrow",
                        "{}",
                        "w-00001.arrow",
                        "[]",
                        "; expected an object",
                        "nonsense",
                        "an index of tensors that is not JSON: Unrecognized token",
                        index().replace("\"a\"", "\"b\""),
                        "tensor 0 is not \"a\"");
        for (Map.Entry<String, String> each : indices.entrySet()) {
            byte[] header = ArrowFraming.header(DType.FLOAT32, Compression.NONE, each.getKey());
            ArrowFraming.Place good = new ArrowFraming.Place(header.length, message.length, 64);
            refuses(file, arrow(header, message, body, good), each.getValue());
        }
        byte[] header = ArrowFraming.header(DType.INT32, Compression.NONE, index());
        ArrowFraming.Place good = new ArrowFraming.Place(header.length, message.length, 64);
        refuses(file, arrow(header, message, body, good), "a column that does not hold float32");
    }

    @Test
    void framesThatLie() throws IOException {
        Path file = file(Compression.ZSTD);
        byte[] raw = new byte[32];
        byte[] frame = Zstd.compress(raw);
        byte[] large = Zstd.compress(new byte[1 << 20]);
        refuses(file, compressed(33, frame), "33 bytes when decompressed");
        refuses(file, compressed(Long.MAX_VALUE, frame), "bytes when decompressed");
        refuses(file, compressed(-2, frame), "-2 bytes when decompressed");
        refuses(file, compressed(-1, frame), "raw bytes; expected the 32 bytes");
        refuses(file, compressed(32, Arrays.copyOf(large, 24)), "a zstd frame of 1048576 bytes");
        refuses(
                file,
                compressed(32, Arrays.copyOf(frame, frame.length - 1)),
                "a zstd frame that is damaged");
        refuses(
                file,
                compressed(32, Arrays.copyOf(frame, frame.length + 3)),
                "3 bytes behind the last zstd frame");
        refuses(file, compressed(32, new byte[20]), "no zstd frame");
        refuses(file, compressed(32, new byte[40]), "48 bytes for 8 rows");
        refuses(file, compressed(32, new byte[0]), "8 bytes for 8 rows");
    }

    private static byte[] compressed(long rawLength, byte[] frame) {
        return compressed(Compression.ZSTD, buffer(rawLength, frame));
    }

    private static byte[] buffer(long rawLength, byte[] frame) {
        return ByteBuffer.allocate(8 + frame.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(rawLength)
                .put(frame)
                .array();
    }

    /// A file of one batch, whose buffers lie as they should.
    private static byte[] compressed(Compression compression, byte[]... buffers) {
        long[] stored = Stream.of(buffers).mapToLong(buffer -> buffer.length).toArray();
        byte[] body = new byte[(int) ArrowFraming.offset(stored, stored.length)];
        for (int b = 0; b < stored.length; b++) {
            int at = (int) ArrowFraming.offset(stored, b);
            System.arraycopy(buffers[b], 0, body, at, buffers[b].length);
        }
        byte[] header = ArrowFraming.header(DType.FLOAT32, compression, index());
        byte[] message = ArrowFraming.batch(compression, COUNT, stored);
        return arrow(
                compression,
                header,
                message,
                body,
                new ArrowFraming.Place(
                        header.length, message.length, ArrowFraming.padded(body.length)));
    }

    @Test
    void shuffledBuffersThatLie() throws IOException {
        Path file = file(Compression.SHUFFLED);
        byte[] raw = buffer(-1, new byte[COUNT]);
        byte[] seven = buffer(-1, new byte[COUNT - 1]);
        byte[] frame = Zstd.compress(new byte[100]);
        Map<byte[], String> wrong =
                Map.of(
                        compressed(Compression.SHUFFLED, raw, seven, raw, raw),
                        "7 raw bytes; expected the 8 bytes of its rows",
                        compressed(Compression.SHUFFLED, raw, raw, raw, seven),
                        "7 raw bytes; expected the 8 bytes of its rows",
                        compressed(Compression.SHUFFLED, raw, buffer(7, new byte[8]), raw, raw),
                        "7 bytes when decompressed; expected the 8 bytes",
                        compressed(Compression.SHUFFLED, raw, raw, buffer(8, new byte[8]), raw),
                        "no zstd frame",
                        compressed(
                                Compression.SHUFFLED,
                                raw,
                                raw,
                                buffer(8, Arrays.copyOf(frame, 8)),
                                raw),
                        "a zstd frame of 100 bytes",
                        compressed(Compression.SHUFFLED, raw, raw, raw, buffer(-1, new byte[9])),
                        "17 bytes for 8 rows",
                        compressed(Compression.SHUFFLED, raw, raw, raw, new byte[8]),
                        "8 bytes for 8 rows",
                        compressed(Compression.SHUFFLED, raw, raw, raw),
                        "batch 0 is not one column without nulls",
                        compressed(Compression.SHUFFLED, raw, raw, raw, raw, raw),
                        "batch 0 is not one column without nulls",
                        compressed(Compression.ZSTD, raw),
                        "a column that does not hold float32");
        for (Map.Entry<byte[], String> each : wrong.entrySet()) {
            refuses(file, each.getKey(), each.getValue());
        }
    }

    /// A good shuffled file, of which a number in the message of its batch is then changed.
    private static byte[] shuffled() {
        byte[] raw = buffer(-1, new byte[COUNT]);
        return compressed(Compression.SHUFFLED, raw, raw, raw, raw);
    }

    private static int shuffledHeader() {
        return ArrowFraming.header(DType.FLOAT32, Compression.SHUFFLED, index()).length;
    }

    /// Bytes of the file at which its batch's message says one number and then another.
    private static List<Integer> saying(long first, long second) {
        ByteBuffer bytes = ArrowFraming.little(shuffled());
        int from = shuffledHeader();
        int size = ArrowFraming.batch(Compression.SHUFFLED, COUNT, 16, 16, 16, 16).length;
        return IntStream.range(from, from + size - 16)
                .filter(at -> bytes.getLong(at) == first && bytes.getLong(at + 8) == second)
                .boxed()
                .toList();
    }

    /// Where its message says the offset and then the length of a field's values.
    private static int values(int field) {
        return saying(0, 16).getFirst() + 32 * field; // two buffers for each field
    }

    private void refusesChanged(Path file, int at, long by) throws IOException {
        byte[] bad = shuffled();
        int from = shuffledHeader();
        int size = ArrowFraming.batch(Compression.SHUFFLED, COUNT, 16, 16, 16, 16).length;
        ByteBuffer bytes = ArrowFraming.little(bad).putLong(at, by);
        bytes.putInt(from + size - 4, ArrowFraming.checksum(bad, from, size - 4));
        refuses(file, bad, "batch 0 is not one column without nulls");
    }

    /// Two buffers that share bytes, or leave some out, would be read one way by Arrow and another
    /// by whoever goes through them in turn.
    @Test
    void shuffledBuffersElsewhere() throws IOException {
        Path file = file(Compression.SHUFFLED);
        Files.write(file, shuffled());
        read();
        for (int b = 0; b < 4; b++) {
            for (long offset : new long[] {16L * b + 1, 16L * b + 8, Long.MAX_VALUE, -8}) {
                refusesChanged(file, values(b), offset);
            }
        }
    }

    @Test
    void nullsInShuffledColumns() throws IOException {
        Path file = file(Compression.SHUFFLED);
        List<Integer> nodes = saying(COUNT, 0);
        assertThat(nodes).as("of the struct and its fields").hasSize(5);
        for (int at : nodes) {
            refusesChanged(file, at, COUNT - 1);
            refusesChanged(file, at + 8, 1);
        }
        // The length of a field's bitmap is said before its values, the struct's before all.
        refusesChanged(file, values(0) - 24, 1);
        for (int b = 0; b < 4; b++) {
            refusesChanged(file, values(b) - 8, 1);
        }
    }

    /// A file whose column looks otherwise than the elements that the manifest says are shuffled.
    @Test
    void structsOfOtherFields() throws IOException {
        Path file = file(Compression.SHUFFLED);
        byte[] good = shuffled();
        int header = shuffledHeader();
        String text = new String(good, 0, header, StandardCharsets.ISO_8859_1);
        for (int p = 0; p < 4; p++) {
            int at = text.indexOf("byte" + p);
            byte[] bad = good.clone();
            bad[at + 4] = (byte) ('0' + (p + 1) % 4);
            int sealed = header - 4;
            ArrowFraming.little(bad).putInt(sealed, ArrowFraming.checksum(bad, 8, sealed - 8));
            refuses(file, bad, "a column \"byte%d\"".formatted((p + 1) % 4));
        }
        for (DType other : List.of(DType.BFLOAT16, DType.FLOAT64)) {
            byte[] bytes = ArrowFraming.header(other, Compression.SHUFFLED, index());
            byte[] message = ArrowFraming.batch(Compression.SHUFFLED, COUNT, 16, 16, 16, 16);
            ArrowFraming.Place place = new ArrowFraming.Place(bytes.length, message.length, 64);
            refuses(
                    file,
                    arrow(Compression.SHUFFLED, bytes, message, new byte[64], place),
                    "a column that does not hold float32");
        }
    }

    /// Random damage to the metadata under a checksum made good again: read or refused, nothing
    /// else.
    @ParameterizedTest
    @EnumSource
    void metadataOfAnyKind(Compression compression) throws IOException {
        Path file = file(compression);
        byte[] good = Files.readAllBytes(file);
        ByteBuffer ends = ByteBuffer.wrap(good).order(ByteOrder.LITTLE_ENDIAN);
        int footer = ends.getInt(good.length - 10);
        int[][] regions = {
            {8, 8 + ends.getInt(12)},
            {16 + ends.getInt(12), 8 + ends.getInt(20 + ends.getInt(12))},
            {good.length - 10 - footer, footer}
        };
        SplittableRandom random = new SplittableRandom(11);
        int refused = 0;
        for (int i = 0; i < 6000; i++) {
            byte[] bad = good.clone();
            int[] region = regions[i % 3];
            for (int n = random.nextInt(1, 4); n > 0; n--) {
                int at = region[0] + random.nextInt(region[1] - 4);
                bad[at] = (byte) random.nextInt(256);
            }
            int crc = ArrowFraming.checksum(bad, region[0], region[1] - 4);
            ByteBuffer.wrap(bad)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putInt(region[0] + region[1] - 4, crc);
            Files.write(file, bad);
            try {
                read();
            } catch (MalformedFileException _) {
                refused++;
            }
        }
        assertThat(refused).isGreaterThan(1000);
    }

    @Test
    void storagesThatPointOutside() throws IOException {
        for (String storages :
                List.of(
                        "[]",
                        "{\"0\":{\"size\":4,\"content\":[{\"offset\":0,\"entry\":\"data/0\"}]}}",
                        "{\"0\":{\"size\":-1,\"content\":[{\"offset\":0,\"entry\":\"tree.pkl\"}]}}",
                        "{\"0\":{\"size\":1,\"content\":[{\"offset\":0,\"entry\":\"tree.pkl\"}]}}",
                        elements("b", 32, 0, 8, "8", "0", "8", "0", "1"),
                        elements("a", 31, 0, 8, "8", "0", "8", "0", "1"),
                        elements("a", 32, -1, 8, "8", "0", "8", "0", "1"),
                        elements("a", 32, 0, 9, "8", "0", "8", "0", "1"),
                        elements("a", 32, 0, 8, "9", "0", "8", "0", "1"),
                        elements("a", 32, 0, 8, "8", "1", "8", "0", "1"),
                        elements("a", 32, 0, 8, "8", "-1", "8", "0", "1"),
                        elements("a", 32, 0, 8, "8", "0", "8", "1", "1"),
                        elements("a", 32, 0, 8, "8", "0", "8", "0", "2"),
                        elements("a", 32, 0, 8, "8", "0", "8", "7", "-1"),
                        elements("a", 32, 0, 8, "8", "0", "8,1", "0", "1"),
                        elements("a", 32, 0, 8, "8", "0", "8", "0", "9223372036854775807"))) {
            assertThatThrownBy(() -> carried(storages))
                    .as(storages)
                    .isInstanceOf(MalformedFileException.class);
        }
        carried(elements("a", 32, 0, 8, "8", "0", "8", "0", "1"));
    }

    private static String elements(
            String parameter,
            long size,
            long offset,
            long count,
            String grid,
            String start,
            String extent,
            String position,
            String stride) {
        return ("{\"0\":{\"size\":%d,\"content\":[{\"offset\":%d,\"parameter\":\"%s\","
                        + "\"state\":\"w\",\"dtype\":\"float32\",\"count\":%d,\"pieces\":[{"
                        + "\"grid\":[%s],\"start\":[%s],\"extent\":[%s],\"position\":%s,"
                        + "\"stride\":[%s]}]}]}}")
                .formatted(size, offset, parameter, count, grid, start, extent, position, stride);
    }

    private void carried(String storages) throws IOException {
        ParameterFacts facts = Samples.parameter("a", Shape.of(COUNT), Map.of("w", DType.FLOAT32));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        List<ZipForm.Entry> entries = new ArrayList<>();
        byte[] tree = PickleWriter.write(PyNone.NONE);
        for (Map.Entry<String, byte[]> entry :
                List.of(
                        Map.entry("tree.pkl", tree),
                        Map.entry("storages.json", storages.getBytes(StandardCharsets.US_ASCII)))) {
            CRC32 crc = new CRC32();
            crc.update(entry.getValue());
            ZipForm.Entry added =
                    new ZipForm.Entry(
                            entry.getKey(),
                            out.size(),
                            entry.getValue().length,
                            (int) crc.getValue());
            entries.add(added);
            out.writeBytes(ZipForm.localHeader(added.name(), added.size(), added.crc()));
            out.writeBytes(entry.getValue());
        }
        out.writeBytes(ZipForm.tail(entries));
        Files.write(folder.resolve("x.zip"), out.toByteArray());
        CarriedReader.read(
                folder,
                new Manifest.Carried("x", "side", Coordinate.NONE, "x.zip"),
                Map.of("a", facts));
    }
}
