package io.ucp.formats.hub;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.StreamReadConstraints;

import java.io.IOException;
import java.io.OutputStream;

/// How JSON of checkpoints is read: as long as the form allows, byte offsets known, nothing
/// interpreted twice.
public final class JsonText {
    private static final int LONGEST = 100_000_000;

    private static final JsonFactory FACTORY =
            JsonFactory.builder()
                    .streamReadConstraints(
                            StreamReadConstraints.builder()
                                    .maxNameLength(LONGEST)
                                    .maxStringLength(LONGEST)
                                    .build())
                    .disable(JsonFactory.Feature.CHARSET_DETECTION) // UTF-8 and nothing else
                    .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
                    .build();

    private JsonText() {}

    /// A parser that knows the byte at which each token begins.
    public static JsonParser parser(byte[] text) throws IOException {
        return FACTORY.createParser(text);
    }

    /// Writes UTF-8 without spaces.
    public static JsonGenerator generator(OutputStream into) throws IOException {
        return FACTORY.createGenerator(into);
    }
}
