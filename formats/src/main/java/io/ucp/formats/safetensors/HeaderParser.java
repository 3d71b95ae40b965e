package io.ucp.formats.safetensors;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;

import io.ucp.formats.hub.JsonText;
import io.ucp.formats.safetensors.Header.Tensor;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.Shape;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Reads the JSON of a header, once, and names the byte of what is wrong in it.
final class HeaderParser {
    static final String METADATA = "__metadata__";

    private final Path file;
    private final byte[] text;
    private final JsonParser json;
    private final Map<String, String> metadata = new LinkedHashMap<>();
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();
    private boolean described;

    /// @param file for messages
    HeaderParser(Path file, byte[] text) throws IOException {
        this.file = file;
        this.text = text;
        this.json = JsonText.parser(text);
    }

    Map<String, String> metadata() {
        return metadata;
    }

    Map<String, Tensor> tensors() {
        return tensors;
    }

    void parse() throws IOException {
        if (text.length == 0 || text[0] != '{') {
            throw malformed(
                    0,
                    text.length == 0
                            ? "an empty header"
                            : "a header that begins with byte %02x".formatted(text[0]),
                    "'{', the beginning of its JSON");
        }
        try {
            StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(text));
        } catch (CharacterCodingException _) {
            throw malformed(0, "a header that is no UTF-8", "JSON in UTF-8");
        }
        try {
            json.nextToken();
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                member();
            }
            if (json.nextToken() != null) {
                throw malformed(at(), "more behind the header's object", "spaces only");
            }
        } catch (JsonProcessingException e) {
            long at = e.getLocation() == null ? 0 : Math.max(0, e.getLocation().getByteOffset());
            throw malformed(at, "not JSON: " + e.getOriginalMessage(), "the header's object");
        }
    }

    private void member() throws IOException {
        String name = json.currentName();
        long at = at();
        if (name.equals(METADATA)) {
            if (described) {
                throw malformed(at, "'%s' a second time".formatted(name), "it once");
            }
            described = true;
            metadata(at);
            return;
        }
        Tensor tensor = tensor(name, at);
        if (tensors.put(name, tensor) != null) {
            throw malformed(at, "the tensor '%s' a second time".formatted(name), "each name once");
        }
    }

    private void metadata(long at) throws IOException {
        JsonToken token = json.nextToken();
        if (token == JsonToken.VALUE_NULL) {
            return;
        }
        if (token != JsonToken.START_OBJECT) {
            throw malformed(at, METADATA + " that is no object", "texts by name");
        }
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            String key = json.currentName();
            long place = at();
            if (json.nextToken() != JsonToken.VALUE_STRING) {
                throw malformed(
                        place, "'%s' of %s is no text".formatted(key, METADATA), "texts by name");
            }
            if (metadata.put(key, json.getText()) != null) {
                throw malformed(
                        place,
                        "'%s' of %s a second time".formatted(key, METADATA),
                        "each name once");
            }
        }
    }

    private Tensor tensor(String name, long at) throws IOException {
        if (json.nextToken() != JsonToken.START_OBJECT) {
            throw malformed(
                    at,
                    "'%s' is no object".formatted(name),
                    "an object with dtype, shape and data_offsets");
        }
        @Nullable String dtype = null;
        long @Nullable [] shape = null;
        long @Nullable [] offsets = null;
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            String key = json.currentName();
            long place = at();
            boolean again =
                    switch (key) {
                        case "dtype" -> dtype != null;
                        case "shape" -> shape != null;
                        case "data_offsets" -> offsets != null;
                        default ->
                                throw malformed(
                                        place,
                                        "'%s' of '%s'".formatted(key, name),
                                        "dtype, shape and data_offsets, and nothing else");
                    };
            if (again) {
                throw malformed(
                        place, "'%s' of '%s' a second time".formatted(key, name), "it once");
            }
            JsonToken value = json.nextToken();
            switch (key) {
                case "dtype" -> dtype = value == JsonToken.VALUE_STRING ? json.getText() : "";
                case "shape" -> shape = numbers(name, key, place);
                default -> offsets = numbers(name, key, place);
            }
        }
        if (dtype == null || shape == null || offsets == null) {
            throw malformed(
                    at,
                    "'%s' has no %s"
                            .formatted(
                                    name,
                                    dtype == null
                                            ? "dtype"
                                            : shape == null ? "shape" : "data_offsets"),
                    "dtype, shape and data_offsets");
        }
        return tensor(name, at, dtype, shape, offsets);
    }

    private long[] numbers(String name, String key, long at) throws IOException {
        List<Long> numbers = new ArrayList<>();
        boolean list = json.currentToken() == JsonToken.START_ARRAY;
        while (list && json.nextToken() != JsonToken.END_ARRAY) {
            boolean fits =
                    json.currentToken() == JsonToken.VALUE_NUMBER_INT
                            && json.getNumberType() != JsonParser.NumberType.BIG_INTEGER
                            && json.getLongValue() >= 0;
            if (!fits) {
                throw malformed(
                        at(),
                        "%s in %s of '%s'".formatted(shown(), key, name),
                        "a number from 0 to 2^63 - 1");
            }
            numbers.add(json.getLongValue());
        }
        if (!list || (key.equals("data_offsets") && numbers.size() != 2)) {
            throw malformed(
                    at,
                    list
                            ? "%d data_offsets of '%s'".formatted(numbers.size(), name)
                            : "%s of '%s' is no list".formatted(key, name),
                    key.equals("shape") ? "a list of numbers" : "where it begins and ends");
        }
        return numbers.stream().mapToLong(Long::longValue).toArray();
    }

    private String shown() throws IOException {
        String value = json.getText();
        return value == null || value.length() > 40 ? "a value" : value;
    }

    private Tensor tensor(String name, long at, String dtype, long[] dims, long[] offsets)
            throws MalformedFileException {
        Optional<Element> element = Element.named(dtype);
        if (element.isEmpty()) {
            throw new MalformedFileException(
                    file,
                    Header.PREFIX + at,
                    "'%s' has the dtype '%s'".formatted(name, dtype),
                    "one of " + Element.names(),
                    "a newer ucp may know it");
        }
        long size;
        Optional<Shape> shape;
        try {
            shape = element.get().torchShape(dims);
            size =
                    Math.multiplyExact(
                            shape.map(Shape::count).orElse(0L), element.get().dtype().width());
        } catch (ArithmeticException _) {
            throw malformed(
                    at,
                    "'%s' has a shape whose size does not fit in 64 bits".formatted(name),
                    "a smaller one");
        }
        if (shape.isEmpty()) {
            throw malformed(
                    at,
                    "'%s' has half a byte more than whole bytes of F4".formatted(name),
                    "a last dimension of an even number");
        }
        if (offsets[1] < offsets[0] || offsets[1] - offsets[0] != size) {
            throw malformed(
                    at,
                    "'%s' lies from %d to %d of the data".formatted(name, offsets[0], offsets[1]),
                    "%d bytes, for %s of shape %s".formatted(size, dtype, Shape.of(dims)));
        }
        long data = (long) Header.PREFIX + text.length;
        try {
            return new Tensor(
                    element.get().dtype(),
                    shape.get(),
                    Math.addExact(data, offsets[0]),
                    Math.addExact(data, offsets[1]),
                    Header.PREFIX + at);
        } catch (ArithmeticException _) {
            throw malformed(
                    at,
                    "'%s' ends at %d of the data".formatted(name, offsets[1]),
                    "it inside the file");
        }
    }

    /// Of the current token, from the start of the header.
    private long at() {
        return Math.max(0, json.currentTokenLocation().getByteOffset());
    }

    private MalformedFileException malformed(long at, String found, String expected) {
        return Header.malformed(file, Header.PREFIX + at, found, expected);
    }
}
