package io.ucp.formats.safetensors;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.formats.Elementwise;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TargetFile;
import io.ucp.formats.hub.JsonText;
import io.ucp.formats.hub.PythonOrder;
import io.ucp.formats.hub.ShardSplit;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Tensors divided in files, each laid out as the library does: the widest dtype first, then by
/// name.
final class NewFiles {
    private static final int ALIGNMENT = 8;

    private final Map<String, Tensor> tensors = new LinkedHashMap<>();

    /// @param content elements of a parameter, or bytes
    private record Tensor(String name, Element element, long[] shape, long size, Content content) {}

    private sealed interface Content {
        record Elements(Elementwise of) implements Content {}

        record Known(byte[] bytes) implements Content {}
    }

    /// @param shape as torch has it
    void add(String name, Shape shape, Elementwise of) {
        add(name, of.dtype(), shape, new Content.Elements(of));
    }

    void add(String name, Scalar scalar) {
        add(name, scalar.dtype(), Shape.of(), new Content.Known(scalar.bytes()));
    }

    private void add(String name, DType dtype, Shape shape, Content content) {
        Element element =
                Element.of(dtype)
                        .orElseThrow(
                                () ->
                                        refused(
                                                name,
                                                "dtype " + dtype.torchName(),
                                                "one of " + Element.names()));
        long[] dims =
                element.fileShape(shape)
                        .orElseThrow(
                                () ->
                                        refused(
                                                name,
                                                "%s without dimensions"
                                                        .formatted(dtype.torchName()),
                                                "one dimension or more"));
        if (!StandardCharsets.UTF_8.newEncoder().canEncode(name)) {
            throw refused(name, "a name that is no Unicode text", "one that is");
        }
        long size = Math.multiplyExact(shape.count(), dtype.width());
        if (tensors.put(name, new Tensor(name, element, dims, size, content)) != null
                || name.equals(HeaderParser.METADATA)) {
            throw refused(name, "a name that the form has already", "another");
        }
    }

    private static RefusedException refused(String name, String found, String expected) {
        return new RefusedException(name, found, expected, "--to universal keeps what there is");
    }

    boolean isEmpty() {
        return tensors.isEmpty();
    }

    /// @param stem of the names of the files
    /// @param metadata of each file
    /// @param ofFirst more of the first file
    List<TargetFile> files(
            String stem, long largest, Map<String, String> metadata, Map<String, String> ofFirst) {
        Map<String, Long> sizes = new LinkedHashMap<>();
        tensors.forEach((name, tensor) -> sizes.put(name, tensor.size()));
        ShardSplit split = ShardSplit.of(stem, ModelFolder.SUFFIX, sizes, largest);
        List<TargetFile> files = new ArrayList<>();
        for (Map.Entry<String, List<String>> file : split.files().entrySet()) {
            Map<String, String> said = new LinkedHashMap<>(metadata);
            if (files.isEmpty()) {
                said.putAll(ofFirst);
            }
            files.add(file(file.getKey(), file.getValue(), said));
        }
        if (split.isSharded()) {
            byte[] index = split.index();
            files.add(
                    new TargetFile(
                            stem + ModelFolder.SUFFIX + ModelFolder.INDEX_SUFFIX,
                            index.length,
                            List.of(new TargetFile.Part.Literal(0, index)),
                            List.of(),
                            Optional.empty()));
        }
        return files;
    }

    private TargetFile file(String path, List<String> names, Map<String, String> metadata) {
        List<Tensor> ordered = new ArrayList<>();
        names.forEach(name -> ordered.add(Optional.ofNullable(tensors.get(name)).orElseThrow()));
        ordered.sort(
                Comparator.comparing(Tensor::element)
                        .reversed()
                        .thenComparing(Tensor::name, PythonOrder.BY_CODE_POINT));
        FileLayout layout = new FileLayout(path, header(path, ordered, metadata));
        for (Tensor tensor : ordered) {
            switch (tensor.content()) {
                case Content.Elements(Elementwise of) -> layout.add(of);
                case Content.Known(byte[] bytes) -> layout.add(bytes);
            }
        }
        return layout.file();
    }

    private static byte[] header(String path, List<Tensor> ordered, Map<String, String> metadata) {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        try (JsonGenerator json = JsonText.generator(text)) {
            json.writeStartObject();
            json.writeObjectFieldStart(HeaderParser.METADATA);
            for (Map.Entry<String, String> each : metadata.entrySet()) {
                json.writeStringField(each.getKey(), each.getValue());
            }
            json.writeEndObject();
            long at = 0;
            for (Tensor tensor : ordered) {
                json.writeObjectFieldStart(tensor.name());
                json.writeStringField("dtype", tensor.element().name());
                json.writeFieldName("shape");
                json.writeArray(tensor.shape(), 0, tensor.shape().length);
                json.writeFieldName("data_offsets");
                long end = Math.addExact(at, tensor.size());
                json.writeArray(new long[] {at, end}, 0, 2);
                json.writeEndObject();
                at = end;
            }
            json.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException("writing to memory", e);
        }
        byte[] bytes = text.toByteArray();
        int size = Math.ceilDiv(bytes.length, ALIGNMENT) * ALIGNMENT;
        if (size > Header.LONGEST) {
            throw new RefusedException(
                    path,
                    "a header of %d bytes for %d tensors".formatted(size, ordered.size()),
                    "at most %d".formatted(Header.LONGEST),
                    "give a smaller --max-shard-size");
        }
        byte[] padded = Arrays.copyOf(bytes, size);
        Arrays.fill(padded, bytes.length, size, (byte) ' ');
        return padded;
    }
}
