package io.ucp.formats.universal;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonWriteFeature;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// JSON as this format uses it: ASCII (a name may hold what UTF-8 cannot: half a surrogate pair),
/// no member twice, whole numbers only.
final class Json {
    private static final JsonFactory FACTORY =
            JsonFactory.builder()
                    .disable(JsonFactory.Feature.CHARSET_DETECTION) // UTF-8 and nothing else
                    .enable(JsonWriteFeature.ESCAPE_NON_ASCII)
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .build();

    private Json() {}

    interface Writing {
        void to(JsonGenerator out) throws IOException;
    }

    static String text(Writing writing) {
        StringWriter text = new StringWriter();
        try (JsonGenerator out = FACTORY.createGenerator(text)) {
            writing.to(out);
        } catch (IOException e) {
            throw new UncheckedIOException("writing to memory", e);
        }
        return text.toString();
    }

    static void longs(JsonGenerator out, String name, long[] values) throws IOException {
        out.writeFieldName(name);
        out.writeArray(values, 0, values.length);
    }

    static void longs(JsonGenerator out, String name, List<Long> values) throws IOException {
        longs(out, name, values.stream().mapToLong(Long::longValue).toArray());
    }

    static void texts(JsonGenerator out, String name, Iterable<String> values) throws IOException {
        out.writeArrayFieldStart(name);
        for (String value : values) {
            out.writeString(value);
        }
        out.writeEndArray();
    }

    static void lists(JsonGenerator out, String name, List<List<Long>> values) throws IOException {
        out.writeArrayFieldStart(name);
        for (List<Long> value : values) {
            long[] longs = value.stream().mapToLong(Long::longValue).toArray();
            out.writeArray(longs, 0, longs.length);
        }
        out.writeEndArray();
    }

    static JsonParser parser(byte[] text) throws IOException {
        return FACTORY.createParser(text);
    }

    /// The one value that `text` is.
    ///
    /// @throws JsonParseException where it is not
    static @Nullable Object parse(byte[] text) throws IOException {
        try (JsonParser parser = parser(text)) {
            parser.nextToken();
            Object value = value(parser);
            if (parser.nextToken() != null) {
                throw new JsonParseException(parser, "more after the end");
            }
            return value;
        }
    }

    /// The value that begins at the current token: `Map`, `List`, `String`, `Long`, `Boolean`,
    /// null.
    static @Nullable Object value(JsonParser parser) throws IOException {
        JsonToken token = parser.currentToken();
        if (token == null) {
            throw new JsonParseException(parser, "the text ends where a value should be");
        }
        return switch (token) {
            case START_OBJECT -> {
                Map<String, @Nullable Object> fields = new LinkedHashMap<>();
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    String name = parser.currentName();
                    parser.nextToken();
                    fields.put(name, value(parser));
                }
                yield fields;
            }
            case START_ARRAY -> {
                List<@Nullable Object> values = new ArrayList<>();
                while (parser.nextToken() != JsonToken.END_ARRAY) {
                    values.add(value(parser));
                }
                yield values;
            }
            case VALUE_STRING -> parser.getText();
            case VALUE_NUMBER_INT -> parser.getLongValue();
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            case VALUE_NULL -> null;
            default -> throw new JsonParseException(parser, "no whole number: " + token);
        };
    }
}
