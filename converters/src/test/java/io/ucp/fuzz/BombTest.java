package io.ucp.fuzz;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.core.JsonGenerator;
import com.sun.management.ThreadMXBean;

import io.ucp.convert.Conversion;
import io.ucp.convert.DigestFile;
import io.ucp.convert.Leftover;
import io.ucp.convert.OpenedSource;
import io.ucp.convert.OutputFolder;
import io.ucp.convert.Request;
import io.ucp.convert.RunOptions;
import io.ucp.formats.RefusedException;
import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TreeJson;
import io.ucp.formats.torch.TreeText;
import io.ucp.formats.torch.pickle.PickleReader;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PickleWriter;
import io.ucp.io.MalformedFileException;
import io.ucp.lang.Ucl;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;
import io.ucp.parity.ProtectedCheckpoint;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/// Inputs that are small and ask for much, or that lead elsewhere: refused with the documented
/// error, or read in memory that follows their size. `docs/security.md` names these tests.
@Timeout(120)
final class BombTest {
    private static final long SPARE = 64L << 20;
    private static final int TEN_MILLION = 10_000_000;

    @TempDir Path folder;

    /// What may fail.
    private interface Reading {
        Object read() throws IOException;
    }

    /// @param perByte that reading may allocate, for each byte of the input
    private static <T> T bounded(long size, long perByte, Reading reading, Class<T> of)
            throws IOException {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long before = threads.getCurrentThreadAllocatedBytes();
        Object read = reading.read();
        long allocated = threads.getCurrentThreadAllocatedBytes() - before;
        assertThat(allocated).isLessThan(SPARE + perByte * size);
        return of.cast(read);
    }

    private static byte[] latin1(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    private static PickleValue pickle(String latin1) throws IOException {
        return PickleReader.read(Path.of("p"), 0, latin1(latin1));
    }

    /// Everything that is done with a tree.
    private static int rendered(PickleValue tree) throws IOException {
        ByteArrayOutputStream json = new ByteArrayOutputStream();
        try (JsonGenerator out = TreeJson.factory().createGenerator((OutputStream) json)) {
            TreeJson.write(out, tree);
        }
        return json.size() + TreeText.of(tree).length() + PickleWriter.write(tree).length;
    }

    @Test
    void pickleBombs() throws IOException {
        String lists = "]" + "2\u0086".repeat(200) + ".";
        String dicts = "}" + "q\0}K\0h\0sK\1h\0s".repeat(200) + ".";
        String calls = "cbuiltins\nlist\n)R" + "q\0cbuiltins\nzip\nh\0h\0\u0086R".repeat(100) + ".";
        for (String bomb : new String[] {lists, dicts, calls}) {
            PickleValue tree = bounded(bomb.length(), 1000, () -> pickle(bomb), PickleValue.class);
            assertThat(bounded(bomb.length(), 1000, () -> rendered(tree), Integer.class))
                    .isLessThan(2_000_000);
        }
    }

    @Test
    void picklesThatSayHowMuchIsToCome() {
        for (String lie :
                new String[] {
                    "X\u00ff\u00ff\u00ff\u007f",
                    "\u008d\0\0\0\0\0\u0001\0\0",
                    "B\u00ff\u00ff\u00ff\u007f",
                    "\u0096\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f",
                    "\u008b\u00ff\u00ff\u00ff\u007f",
                    "\u0095\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f"
                }) {
            assertThatThrownBy(() -> bounded(0, 0, () -> pickle(lie + "x."), PickleValue.class))
                    .isInstanceOf(MalformedFileException.class);
        }
    }

    /// A zip of stored records, as torch's are.
    private Path zip(String name, Map<String, byte[]> records) throws IOException {
        Path file = folder.resolve(name);
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
            zip.setMethod(ZipOutputStream.STORED);
            for (Map.Entry<String, byte[]> record : records.entrySet()) {
                CRC32 crc = new CRC32();
                crc.update(record.getValue());
                ZipEntry entry = new ZipEntry(record.getKey());
                entry.setSize(record.getValue().length);
                entry.setCrc(crc.getValue());
                zip.putNextEntry(entry);
                zip.write(record.getValue());
            }
        }
        return file;
    }

    @Test
    void zipBombs() throws IOException {
        Path deflated = folder.resolve("deflated.pt");
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(deflated))) {
            zip.putNextEntry(new ZipEntry("archive/data.pkl"));
            zip.write(new byte[64 << 20]);
        }
        assertThat(Files.size(deflated)).isLessThan(100_000);
        assertThatThrownBy(() -> bounded(0, 0, () -> TorchFile.open(deflated), TorchFile.class))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("is compressed");
        // Every entry of the directory leads to the same record: the bytes are counted again and
        // again.
        byte[] large = new byte[1 << 20];
        Path file = zip("one.pt", Map.of("archive/data.pkl", large));
        byte[] one = Files.readAllBytes(file);
        int end = one.length - 22;
        int directory = ByteBuffer.wrap(one).order(ByteOrder.LITTLE_ENDIAN).getInt(end + 16);
        int count = 1000;
        int entry = end - directory;
        ByteBuffer bomb =
                ByteBuffer.allocate(directory + count * entry + 22)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .put(one, 0, directory);
        for (int k = 0; k < count; k++) {
            int at = bomb.position();
            bomb.put(one, directory, entry);
            bomb.put(at + 46 + 8, latin1("%08d".formatted(k)));
        }
        bomb.put(one, end, 22);
        int tail = bomb.limit() - 22;
        bomb.putShort(tail + 8, (short) count).putShort(tail + 10, (short) count);
        bomb.putInt(tail + 12, count * entry);
        Files.write(file, bomb.array());
        assertThatThrownBy(() -> bounded(0, 0, () -> TorchFile.open(file), TorchFile.class))
                .isInstanceOf(MalformedFileException.class);
    }

    /// One file in a folder of its own, as any format that takes it reads it.
    private OpenedSource open(String name, byte[] content) throws IOException {
        Path root = Files.createTempDirectory(folder, "open");
        Files.write(root.resolve(name), content);
        return OpenedSource.open(root, Optional.empty());
    }

    private static byte[] safetensors(String header) {
        byte[] text = header.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(8 + text.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(text.length)
                .put(text)
                .array();
    }

    @Test
    void deepNesting() throws IOException {
        int deep = 200_000;
        for (String open : new String[] {"[", "{\"a\":"}) {
            String text = open.repeat(deep);
            assertThatThrownBy(() -> open("model.safetensors", safetensors("{\"a\":" + text)))
                    .isInstanceOf(MalformedFileException.class);
            assertThatThrownBy(() -> open("manifest.json", latin1("{\"format\":" + text)))
                    .isInstanceOf(IOException.class)
                    .isNotInstanceOf(UncheckedIOException.class);
            assertThatThrownBy(
                            () ->
                                    open(
                                            "model.safetensors.index.json",
                                            latin1("{\"weight_map\":" + text)))
                    .isInstanceOf(MalformedFileException.class);
            Path digests = Files.writeString(folder.resolve("digests.json"), text);
            assertThatThrownBy(() -> DigestFile.read(digests))
                    .isInstanceOf(MalformedFileException.class);
            Path parity = Files.createDirectories(folder.resolve("parity"));
            Files.writeString(parity.resolve("manifest.json"), text);
            assertThatThrownBy(() -> ProtectedCheckpoint.open(folder, parity))
                    .isInstanceOf(MalformedFileException.class);
        }
        for (String nested :
                new String[] {
                    "]".repeat(deep) + "a".repeat(deep - 1) + ".", "N" + "\u0085".repeat(deep) + "."
                }) {
            assertThatThrownBy(() -> pickle(nested)).isInstanceOf(MalformedFileException.class);
            Files.write(folder.resolve(DistcpMetadata.FILE), latin1(nested));
            assertThatThrownBy(() -> DistcpMetadata.read(folder))
                    .isInstanceOf(MalformedFileException.class);
        }
        String spec = "param x: shard dim " + "(".repeat(deep);
        assertThatThrownBy(() -> Ucl.format(SourceText.of("deep.ucl", spec)))
                .isInstanceOf(SpecException.class);
    }

    @Test
    void memoCycles() throws IOException {
        for (String cycle :
                new String[] {
                    "]q\0h\0a.",
                    "}q\0K\1h\0s.",
                    "]q\0(h\0tq\1a.",
                    "\u008f\u0094(h\0\u0090.",
                    "cm\nC\n)\u0081q\0h\0b.",
                    "cm\nC\n)\u0081q\0}q\1K\1h\0sb.",
                    "]q\0]q\1h\0ah\1ah\0."
                }) {
            PickleValue tree = pickle(cycle);
            assertThat(bounded(cycle.length(), 1000, () -> rendered(tree), Integer.class))
                    .isLessThan(10_000);
        }
    }

    /// Texts with one `String.hashCode`.
    private static String[] colliding(int bits) {
        String[] texts = {""};
        for (int b = 0; b < bits; b++) {
            String[] longer = new String[2 * texts.length];
            for (int k = 0; k < texts.length; k++) {
                longer[2 * k] = texts[k] + "Aa";
                longer[2 * k + 1] = texts[k] + "BB";
            }
            texts = longer;
        }
        return texts;
    }

    @Test
    void quadraticBlowUps() throws IOException {
        String[] keys = colliding(15);
        StringBuilder dict = new StringBuilder("}(");
        StringBuilder tuples = new StringBuilder("}(");
        StringBuilder header = new StringBuilder("{");
        for (String key : keys) {
            dict.append("U").append((char) key.length()).append(key).append("N");
            tuples.append("U").append((char) key.length()).append(key).append("\u0085N");
            header.append(header.length() == 1 ? "" : ",").append('"').append(key);
            header.append("\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}");
        }
        bounded(dict.length(), 200, () -> pickle(dict + "u."), PickleValue.class);
        bounded(tuples.length(), 400, () -> pickle(tuples + "u."), PickleValue.class);
        byte[] file = safetensors(header.append("}").toString());
        OpenedSource opened = open("model.safetensors", file);
        assertThat(opened.index().wholes()).hasSize(keys.length);
        // A number of a million digits takes as long as its square to read.
        assertThatThrownBy(() -> pickle("I" + "9".repeat(1_000_000) + "\n."))
                .isInstanceOf(MalformedFileException.class);
        assertThatThrownBy(
                        () ->
                                open(
                                        "model.safetensors",
                                        safetensors("{\"a\":" + "9".repeat(1_000_000) + "}")))
                .isInstanceOf(MalformedFileException.class);
        // Memo entries far apart.
        String apart = "N" + "r\u00ff\u00ff\u00ff\u007fr\0\0\0@".repeat(100_000) + ".";
        bounded(apart.length(), 200, () -> pickle(apart), PickleValue.class);
    }

    @ParameterizedTest
    @ValueSource(strings = {"../x", "..", "a/../../x", "/x", "x\0y", "\0"})
    void namesWithDotsAndNul(String name) throws IOException {
        // What a zip calls its records is a label.
        Path torch = zip("named.pt", Map.of("archive/data.pkl", latin1("N."), name, latin1("x")));
        try {
            TorchFile.open(torch);
        } catch (MalformedFileException _) {
            // as good
        }
        String quoted = name.replace("\0", "\\u0000");
        byte[] header =
                safetensors(
                        "{\"%s\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}"
                                .formatted(quoted));
        OpenedSource model = open("model.safetensors", header);
        Path source = model.index().folder();
        for (String to : new String[] {"universal", "deepspeed-universal"}) {
            Path out = folder.resolve("in/side/" + to);
            Files.createDirectories(folder.resolve("in/side"));
            try {
                Conversion.run(
                        Conversion.prepare(
                                new Request(
                                        source,
                                        Optional.empty(),
                                        to,
                                        Optional.empty(),
                                        Map.of(),
                                        Map.of())),
                        out,
                        quick(Leftover.REFUSE),
                        (done, total) -> {});
            } catch (RefusedException _) {
                // a folder of that name is not made
            }
            assertThat(folder.resolve("in/x")).doesNotExist();
            assertThat(folder.resolve("in/side/x")).doesNotExist();
            assertThat(folder.resolve("x")).doesNotExist();
        }
        assertThatThrownBy(
                        () ->
                                open(
                                        "model.safetensors.index.json",
                                        latin1(
                                                "{\"weight_map\":{\"a\":\"%s\"}}"
                                                        .formatted(quoted))))
                .isInstanceOf(IOException.class);
    }

    @Test
    void tenMillionEmptyEntries() throws IOException {
        for (String empty : new String[] {")", "}"}) {
            byte[] text = new byte[TEN_MILLION + 4];
            Arrays.fill(text, (byte) empty.charAt(0));
            text[0] = ']';
            text[1] = '(';
            text[TEN_MILLION + 2] = 'e';
            text[TEN_MILLION + 3] = '.';
            PickleValue tree =
                    bounded(
                            text.length,
                            300,
                            () -> PickleReader.read(Path.of("p"), 0, text),
                            PickleValue.class);
            assertThat(tree.asSequence().orElseThrow()).hasSize(TEN_MILLION);
        }
        for (String empty : new String[] {"{}"}) {
            byte[] entries = latin1("[" + (empty + ",").repeat(TEN_MILLION - 1) + empty + "]}");
            String before = "{\"format\":\"ucp-universal\",\"version\":1,\"states\":";
            byte[] text = new byte[before.length() + entries.length];
            System.arraycopy(latin1(before), 0, text, 0, before.length());
            System.arraycopy(entries, 0, text, before.length(), entries.length);
            assertThatThrownBy(
                            () ->
                                    bounded(
                                            text.length,
                                            20,
                                            () -> open("manifest.json", text),
                                            OpenedSource.class))
                    .isInstanceOf(MalformedFileException.class);
        }
        // A zip says so in a few bytes.
        Path zip = zip("many.pt", Map.of("archive/data.pkl", latin1("N.")));
        byte[] bytes = Files.readAllBytes(zip);
        ByteBuffer.wrap(bytes)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putShort(bytes.length - 14, (short) -2)
                .putShort(bytes.length - 12, (short) -2);
        Files.write(zip, bytes);
        assertThatThrownBy(() -> bounded(0, 0, () -> TorchFile.open(zip), TorchFile.class))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("at least 46 bytes a record");
    }

    private static RunOptions quick(Leftover leftover) {
        return RunOptions.standard()
                .withThreads(1)
                .withWindowBytes(64 << 10)
                .withOutput(new OutputFolder.Rules(leftover, false, false));
    }

    /// Someone who can write beside the output leaves links where a run that was cut off would have
    /// left files or folders.
    @ParameterizedTest
    @ValueSource(strings = {"states", "states/fp32-00001.arrow", "manifest.json", "carried"})
    void linksOutOfTheOutputFolder(String planned) throws IOException {
        Path elsewhere = Files.createDirectory(folder.resolve("elsewhere"));
        Path theirs = Files.writeString(elsewhere.resolve("file"), "theirs");
        Request request =
                new Request(
                        Path.of("../samples/gpt2-zero2-tied-frozen/checkpoint"),
                        Optional.empty(),
                        "universal",
                        Optional.empty(),
                        Map.of(),
                        Map.of());
        Path out = folder.resolve("out");
        AtomicInteger asked = new AtomicInteger();
        assertThatThrownBy(
                        () ->
                                Conversion.run(
                                        Conversion.prepare(request),
                                        out,
                                        quick(Leftover.REFUSE)
                                                .withCancelled(() -> asked.getAndIncrement() > 12),
                                        (done, total) -> {}))
                .isInstanceOf(CancellationException.class);
        Path link = folder.resolve(".out.ucp/output").resolve(planned);
        if (Files.isDirectory(link)) {
            try (Stream<Path> files = Files.list(link)) {
                for (Path file : files.toList()) {
                    Files.move(file, elsewhere.resolve(file.getFileName().toString()));
                }
            }
        }
        Files.deleteIfExists(link);
        Files.createDirectories(link.resolveSibling(""));
        Files.createSymbolicLink(link, planned.contains(".") ? theirs : elsewhere);
        Map<String, Long> before = sizes(elsewhere);
        try {
            Conversion.run(
                    Conversion.prepare(request), out, quick(Leftover.RESUME), (done, total) -> {});
            assertThat(out.resolve(planned)).isNotEmptyDirectory();
        } catch (IOException _) {
            // refused is as good
        } catch (AssertionError e) {
            assertThat(Files.isSymbolicLink(out.resolve(planned))).isFalse();
        }
        assertThat(sizes(elsewhere)).isEqualTo(before);
        assertThat(theirs).hasContent("theirs");
    }

    private static Map<String, Long> sizes(Path of) throws IOException {
        Map<String, Long> sizes = new TreeMap<>();
        try (Stream<Path> files = Files.list(of)) {
            for (Path file : files.toList()) {
                sizes.put(file.getFileName().toString(), Files.size(file));
            }
        }
        return sizes;
    }
}
