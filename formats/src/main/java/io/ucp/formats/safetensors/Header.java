package io.ucp.formats.safetensors;

import io.ucp.formats.TensorEntry;
import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// What one file says of itself. Reading it reads no tensor data, and proves that the tensors tile
/// the data.
///
/// @param text the JSON as it lies in the file, spaces behind it included
/// @param metadata `__metadata__`, empty where there is none
/// @param tensors by name, in the order of the header
record Header(
        ByteSource source, String text, Map<String, String> metadata, Map<String, Tensor> tensors) {
    /// Longest header that the library loads.
    static final int LONGEST = 100_000_000;

    static final int PREFIX = 8;

    /// By their places in the data; where two begin at one, that without elements is first.
    static final Comparator<Tensor> BY_PLACE =
            Comparator.comparingLong(Tensor::begin).thenComparingLong(Tensor::end);

    private static final String COPY = "copy the file again from where it was written";

    Header {
        metadata = Collections.unmodifiableMap(new LinkedHashMap<>(metadata));
        tensors = Collections.unmodifiableMap(new LinkedHashMap<>(tensors));
    }

    /// @param shape as torch has it
    /// @param begin of its data, in bytes from the start of the file
    /// @param at where the header says it, in bytes from the start of the file
    record Tensor(DType dtype, Shape shape, long begin, long end, long at) {
        long size() {
            return end - begin;
        }
    }

    TensorEntry entry(String name) {
        Tensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new IllegalArgumentException(name + " is not in " + source.path());
        }
        return TensorEntry.dense(source, tensor.begin(), tensor.dtype(), tensor.shape());
    }

    /// @throws MalformedFileException where the file is not what the form says
    static Header read(ByteSource source) throws IOException {
        try (ByteReader reader = source.open()) {
            byte[] text = text(source, reader);
            HeaderParser parser = new HeaderParser(source.path(), text);
            parser.parse();
            long data = (long) PREFIX + text.length;
            prove(source, parser.tensors(), data);
            return new Header(
                    source,
                    new String(text, StandardCharsets.UTF_8),
                    parser.metadata(),
                    parser.tensors());
        }
    }

    private static byte[] text(ByteSource source, ByteReader reader) throws IOException {
        if (source.size() < PREFIX) {
            throw malformed(
                    source.path(),
                    0,
                    "a file of %d bytes".formatted(source.size()),
                    "8 bytes with the header's size first");
        }
        ByteBuffer prefix = ByteBuffer.allocate(PREFIX).order(ByteOrder.LITTLE_ENDIAN);
        reader.read(0, prefix);
        long size = prefix.getLong(0);
        if (size < 0 || size > LONGEST) {
            throw new MalformedFileException(
                    source.path(),
                    0,
                    "a header of %s bytes".formatted(Long.toUnsignedString(size)),
                    "at most %d".formatted(LONGEST),
                    "check that this is a safetensors file");
        }
        if (size > source.size() - PREFIX) {
            throw malformed(
                    source.path(),
                    0,
                    "a header of %d bytes in a file of %d".formatted(size, source.size()),
                    "it to end inside the file");
        }
        ByteBuffer text = ByteBuffer.allocate((int) size);
        reader.read(PREFIX, text);
        return text.array();
    }

    /// In the order of their offsets, each tensor begins where the one before ends.
    private static void prove(ByteSource source, Map<String, Tensor> tensors, long data)
            throws MalformedFileException {
        List<Map.Entry<String, Tensor>> ordered = new ArrayList<>(tensors.entrySet());
        ordered.sort(Map.Entry.comparingByValue(BY_PLACE));
        long at = data;
        String before = "the header";
        for (Map.Entry<String, Tensor> each : ordered) {
            Tensor tensor = each.getValue();
            if (tensor.begin() != at) {
                throw malformed(
                        source.path(),
                        tensor.at(),
                        tensor.begin() > at
                                ? "%d bytes of data before '%s' that no tensor has"
                                        .formatted(tensor.begin() - at, each.getKey())
                                : "'%s' overlaps %s by %d bytes"
                                        .formatted(each.getKey(), before, at - tensor.begin()),
                        "it to begin at %d of the data, where %s ends"
                                .formatted(at - data, before));
            }
            if (tensor.end() > source.size()) {
                throw malformed(
                        source.path(),
                        tensor.at(),
                        "'%s' ends at byte %d of a file of %d"
                                .formatted(each.getKey(), tensor.end(), source.size()),
                        "it inside the file");
            }
            at = tensor.end();
            before = "'" + each.getKey() + "'";
        }
        if (at != source.size()) {
            throw malformed(
                    source.path(),
                    at,
                    "%d bytes behind the last tensor".formatted(source.size() - at),
                    "the end of the file");
        }
    }

    static MalformedFileException malformed(Path file, long at, String found, String expected) {
        return new MalformedFileException(file, at, found, expected, COPY);
    }
}
