package io.ucp.cli;

import io.ucp.io.MalformedFileException;
import io.ucp.lang.diagnostic.SourceText;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/// Specs as files.
final class SpecFile {
    /// Far more than anyone writes; a checkpoint's file named by mistake is larger.
    private static final int LARGEST = 16 << 20;

    private SpecFile() {}

    /// @throws MalformedFileException where it is no text
    static SourceText read(Path path) throws IOException {
        try (InputStream in = Files.newInputStream(path)) {
            return read(path, in);
        }
    }

    /// @param path for messages
    static SourceText read(Path path, InputStream in) throws IOException {
        byte[] bytes = in.readNBytes(LARGEST + 1);
        if (bytes.length > LARGEST) {
            throw malformed(path, "more than %d bytes".formatted(LARGEST));
        }
        try {
            String text =
                    StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
            return SourceText.of(path.toString(), text);
        } catch (CharacterCodingException _) {
            throw malformed(path, "bytes that are no UTF-8");
        }
    }

    private static MalformedFileException malformed(Path path, String found) {
        return new MalformedFileException(
                path, -1, found, "the text of a spec, in UTF-8", "name a spec (.ucl)");
    }
}
