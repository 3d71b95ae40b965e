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
import org.junit.jupiter.params.provider.ValueSource;

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
import java.util.zip.CRC32;

/// State files with good checksums that say what is not so.
class HostileArrowTest {
    private static final int COUNT = 8;

    @TempDir Path folder;

    /// A checkpoint of one tensor of eight float32, whose file is then written by hand.
    private Path file(boolean compressed) throws IOException {
        ParameterFacts facts = Samples.parameter("a", Shape.of(COUNT), Map.of("w", DType.FLOAT32));
        Samples.write(
                new UniversalFormat(),
                folder,
                List.of(facts),
                List.of(),
                Map.of("compress", compressed ? "zstd" : "none"));
        return folder.resolve("states/w-00001.arrow");
    }

    private static String index() {
        ParameterFacts facts = Samples.parameter("a", Shape.of(COUNT), Map.of("w", DType.FLOAT32));
        StateFile.Tensor tensor = new StateFile.Tensor(facts, 0, 1);
        return new StateFile(
                        "states/w-00001.arrow", "w", DType.FLOAT32, false, COUNT, List.of(tensor))
                .index();
    }

    private static byte[] arrow(
            byte[] header, byte[] message, byte[] body, ArrowFraming.Place... places) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(header);
        out.writeBytes(message);
        out.writeBytes(Arrays.copyOf(body, (int) ArrowFraming.padded(body.length)));
        out.writeBytes(ArrowFraming.end(DType.FLOAT32, index(), places));
        return out.toByteArray();
    }

    private static byte[] header() {
        return ArrowFraming.header(DType.FLOAT32, index());
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
        Path file = file(false);
        byte[] header = header();
        byte[] message = ArrowFraming.batch(COUNT, 32, false);
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
                arrow(header, ArrowFraming.batch(7, 28, false), body, good),
                "1 elements less");
        refuses(file, arrow(header, ArrowFraming.batch(9, 32, false), body, good), "9 rows");
        refuses(file, arrow(header, ArrowFraming.batch(0, 32, false), body, good), "0 rows");
        refuses(
                file,
                arrow(header, ArrowFraming.batch(Long.MAX_VALUE, 32, false), body, good),
                "rows");
        refuses(file, arrow(header, ArrowFraming.batch(-1, 32, false), body, good), "-1 rows");
        refuses(
                file,
                arrow(header, ArrowFraming.batch(COUNT, 28, false), body, good),
                "28 bytes for 8 rows");
        refuses(
                file,
                arrow(header, ArrowFraming.batch(COUNT, 32, true), body, good),
                "a compressed batch");
    }

    @Test
    void anotherSchemaOrIndex() throws IOException {
        Path file = file(false);
        byte[] message = ArrowFraming.batch(COUNT, 32, false);
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
            byte[] header = ArrowFraming.header(DType.FLOAT32, each.getKey());
            ArrowFraming.Place good = new ArrowFraming.Place(header.length, message.length, 64);
            refuses(file, arrow(header, message, body, good), each.getValue());
        }
        byte[] header = ArrowFraming.header(DType.INT32, index());
        ArrowFraming.Place good = new ArrowFraming.Place(header.length, message.length, 64);
        refuses(file, arrow(header, message, body, good), "a column that does not hold float32");
    }

    @Test
    void framesThatLie() throws IOException {
        Path file = file(true);
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
        byte[] body =
                ByteBuffer.allocate(8 + frame.length)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putLong(rawLength)
                        .put(frame)
                        .array();
        byte[] header = header();
        byte[] message = ArrowFraming.batch(COUNT, body.length, true);
        return arrow(
                header,
                message,
                body,
                new ArrowFraming.Place(
                        header.length, message.length, ArrowFraming.padded(body.length)));
    }

    /// Random damage to the metadata under a checksum made good again: read or refused, nothing
    /// else.
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void metadataOfAnyKind(boolean compressed) throws IOException {
        Path file = file(compressed);
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
