package io.ucp.flip;

import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.distcp.Place;
import io.ucp.formats.distcp.StateDictEntry;

import org.apache.arrow.flatbuf.Block;
import org.apache.arrow.flatbuf.Buffer;
import org.apache.arrow.flatbuf.Footer;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.RecordBatch;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/// What each byte of a checkpoint's files is for, so that none of the small kinds is missed by
/// places taken at random: the bytes of tensors are nearly all.
final class ByteClasses {
    private static final int CENTRAL = 0x02014b50;

    private final Map<String, List<Range>> classes = new TreeMap<>();

    private ByteClasses() {}

    /// Bytes `[from, to)` of a file, none of them where it is empty.
    record Range(Path file, long from, long to) {}

    /// @param files of one checkpoint
    static Map<String, List<Range>> of(List<Path> files) throws IOException {
        ByteClasses all = new ByteClasses();
        for (Path file : files) {
            if (file.toString().contains("/output/")) {
                all.put("unfinished", file, 0, Files.size(file));
            } else {
                all.add(file);
            }
        }
        return all.classes;
    }

    private void add(Path file) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        String name = String.valueOf(file.getFileName());
        String kind = name.substring(name.lastIndexOf('.') + 1);
        switch (kind) {
            case "pt", "bin", "zip", "pth" -> zip(file, bytes, 0);
            case "distcp" -> items(file, name, bytes);
            case "safetensors" -> safetensors(file, bytes);
            case "arrow" -> arrow(file, bytes);
            case "json", "metadata", "txt", "parity" -> put(name, file, 0, bytes.limit());
            default -> put(name.replaceAll("[0-9]+", "N"), file, 0, bytes.limit());
        }
    }

    private void put(String kind, Path file, long from, long to) {
        if (from < to) {
            classes.computeIfAbsent(kind, _ -> new ArrayList<>()).add(new Range(file, from, to));
        }
    }

    /// The records of a zip, by its directory.
    private void zip(Path file, ByteBuffer zip, long base) {
        int end = zip.limit() - 22;
        int at = zip.getInt(end + 16);
        at = at == -1 ? (int) zip.getLong(end - 20 - 56 + 48) : at;
        int directory = at;
        put("zip directory", file, base + at, base + zip.limit());
        long past = 0;
        List<long[]> records = new ArrayList<>();
        while (zip.getInt(at) == CENTRAL) {
            int nameSize = zip.getShort(at + 28);
            int wide = at + 46 + nameSize + 4; // what a zip64 field holds, where it is the first
            int size = zip.getInt(at + 24);
            if (size == -1) {
                size = (int) zip.getLong(wide);
                wide += 16;
            }
            int header = zip.getInt(at + 42);
            header = header == -1 ? (int) zip.getLong(wide) : header;
            byte[] name = new byte[nameSize];
            zip.get(at + 46, name);
            int data = header + 30 + zip.getShort(header + 26) + zip.getShort(header + 28);
            put("zip header", file, base + header, base + header + 30 + nameSize);
            put("zip padding", file, base + header + 30 + nameSize, base + data);
            put(
                    record(new String(name, StandardCharsets.UTF_8)),
                    file,
                    base + data,
                    base + data + size);
            records.add(new long[] {header, data + size});
            at += 46 + nameSize + zip.getShort(at + 30) + zip.getShort(at + 32);
        }
        records.sort((a, b) -> Long.compare(a[0], b[0]));
        for (long[] record : records) {
            put("zip between", file, base + past, base + record[0]);
            past = record[1];
        }
        put("zip between", file, base + past, base + directory);
    }

    private static String record(String name) {
        if (name.contains("/data/")) {
            return "zip tensor";
        }
        return name.endsWith(".pkl") ? "zip pickle" : "zip word";
    }

    /// A file of torch's distributed checkpoints: items, each of them a zip.
    private void items(Path file, String name, ByteBuffer bytes) throws IOException {
        Path folder = Objects.requireNonNull(file.getParent());
        for (StateDictEntry entry : DistcpMetadata.read(folder).entries().values()) {
            List<Place> places =
                    switch (entry) {
                        case StateDictEntry.OfTensor tensor ->
                                tensor.chunks().stream().map(StateDictEntry.Stored::place).toList();
                        case StateDictEntry.OfObject(Place place) -> List.of(place);
                    };
            for (Place place : places) {
                if (place.file().equals(name)) {
                    int from = (int) place.offset();
                    zip(
                            file,
                            bytes.slice(from, (int) place.length()).order(ByteOrder.LITTLE_ENDIAN),
                            from);
                }
            }
        }
    }

    private void safetensors(Path file, ByteBuffer bytes) {
        long data = 8 + bytes.getLong(0);
        put("header length", file, 0, 8);
        put("header", file, 8, data);
        put("tensor", file, data, bytes.limit());
    }

    private void arrow(Path file, ByteBuffer bytes) {
        int length = bytes.getInt(bytes.limit() - 10);
        int start = bytes.limit() - 10 - length;
        Footer footer = Footer.getRootAsFooter(bytes.slice(start, length));
        long past = 8;
        put("arrow magic", file, 0, past);
        for (int b = 0; b < footer.recordBatchesLength(); b++) {
            Block block = footer.recordBatches(b);
            if (b == 0) {
                put("arrow schema", file, past, block.offset());
            }
            long body = block.offset() + block.metaDataLength();
            Message message =
                    Message.getRootAsMessage(
                            bytes.slice((int) block.offset() + 8, block.metaDataLength() - 8));
            RecordBatch batch = (RecordBatch) message.header(new RecordBatch());
            long values = body;
            past = body + block.bodyLength();
            put("arrow batch", file, block.offset(), body);
            for (int v = 0; v < batch.buffersLength(); v++) {
                Buffer buffer = batch.buffers(v);
                if (buffer.length() > 0) {
                    put("arrow padding", file, values, body + buffer.offset());
                    values = body + buffer.offset() + buffer.length();
                    put("arrow values", file, body + buffer.offset(), values);
                }
            }
            put("arrow padding", file, values, past);
        }
        put("arrow footer", file, past, bytes.limit());
    }
}
