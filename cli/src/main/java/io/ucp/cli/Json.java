package io.ucp.cli;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.core.util.Separators;

import io.ucp.formats.torch.TreeJson;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.Collection;
import java.util.Map;

/// A report as one JSON object: what `--json` prints, and `docs/json.md` describes.
final class Json {
    private static final JsonFactory FACTORY = TreeJson.factory();
    private static final Separators SEPARATORS =
            Separators.createDefaultInstance()
                    .withObjectFieldValueSpacing(Separators.Spacing.AFTER);

    private Json() {}

    /// Writes the fields of the report's object.
    @FunctionalInterface
    interface Fields {
        void write(JsonGenerator json) throws IOException;
    }

    /// One object, indented, and a line feed; or nothing, where the fields cannot be written.
    static void print(PrintWriter out, Fields fields) {
        StringWriter text = new StringWriter();
        try (JsonGenerator json = FACTORY.createGenerator(text)) {
            json.setPrettyPrinter(
                    new DefaultPrettyPrinter()
                            .withSeparators(SEPARATORS)
                            .withObjectIndenter(new DefaultIndenter("  ", "\n")));
            object(json, fields);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        out.println(text);
    }

    static void object(JsonGenerator json, Fields fields) throws IOException {
        json.writeStartObject();
        fields.write(json);
        json.writeEndObject();
    }

    static void object(JsonGenerator json, String name, Fields fields) throws IOException {
        json.writeFieldName(name);
        object(json, fields);
    }

    static void numbers(JsonGenerator json, String name, long[] numbers) throws IOException {
        json.writeFieldName(name);
        json.writeArray(numbers, 0, numbers.length);
    }

    /// A number, or the text `nan`, `inf` or `-inf`, which JSON has no numbers for.
    static void number(JsonGenerator json, String name, double value) throws IOException {
        if (Double.isFinite(value)) {
            json.writeNumberField(name, value);
        } else {
            json.writeStringField(name, Double.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf");
        }
    }

    static void texts(JsonGenerator json, String name, Collection<String> texts)
            throws IOException {
        json.writeArrayFieldStart(name);
        for (String text : texts) {
            json.writeString(text);
        }
        json.writeEndArray();
    }

    static void texts(JsonGenerator json, String name, Map<String, String> texts)
            throws IOException {
        object(
                json,
                name,
                fields -> {
                    for (Map.Entry<String, String> text : texts.entrySet()) {
                        fields.writeStringField(text.getKey(), text.getValue());
                    }
                });
    }

    /// Writes one element of an array of objects.
    @FunctionalInterface
    interface Element<T> {
        void write(JsonGenerator json, T element) throws IOException;
    }

    static <T> void objects(
            JsonGenerator json, String name, Collection<T> elements, Element<T> element)
            throws IOException {
        json.writeArrayFieldStart(name);
        for (T each : elements) {
            object(json, fields -> element.write(fields, each));
        }
        json.writeEndArray();
    }
}
