package io.ucp.convert;

import io.ucp.bind.Inference;
import io.ucp.bind.SpecLibrary;
import io.ucp.formats.CheckpointIndex;
import io.ucp.io.MalformedFileException;
import io.ucp.lang.ImportSource;
import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.NearestNames;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.Span;
import io.ucp.lang.diagnostic.SpecException;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// A spec and where it came from.
///
/// @param name a file, a bundled name, or `inferred`
/// @param bundled comes with the program
public record SpecSource(String name, Spec spec, boolean bundled) {
    /// Bytes; far more than anyone writes: what is larger is a checkpoint's file named by mistake.
    private static final int LARGEST = 16 << 20;

    /// The spec that is named; else the one that the checkpoint's own metadata says.
    ///
    /// @throws SpecException where there is no such spec, or where it is not well formed
    /// @throws io.ucp.formats.RefusedException where the metadata does not say enough
    public static SpecSource of(Optional<String> named, CheckpointIndex index) throws IOException {
        if (named.isPresent()) {
            SpecSource spec = named(named.get());
            return spec.bundled()
                    ? new SpecSource(spec.name(), SpecLibrary.held(spec.spec(), index), true)
                    : spec;
        }
        Optional<String> family = index.hints().family();
        return new SpecSource(
                family.orElse("inferred"), Inference.infer(index), family.isPresent());
    }

    /// The spec that is named; else the one that a source which holds its parameters whole
    /// remembers; else one that says nothing.
    static Spec unbound(Optional<String> named, CheckpointIndex index) throws IOException {
        return named.isPresent()
                ? named(named.get()).spec()
                : index.origin()
                        .spec()
                        .filter(text -> !text.isBlank())
                        .map(text -> Ucl.parse(SourceText.of("the source's spec", text), imports()))
                        .orElse(Spec.of(List.of()));
    }

    /// A file, or a bundled name.
    public static SpecSource named(String name) throws IOException {
        Path file = Path.of(name);
        if (Files.exists(file)) {
            return new SpecSource(name, Ucl.parse(read(file), imports()), false);
        }
        return SpecLibrary.text(name)
                .map(text -> new SpecSource(name, Ucl.parse(text, imports()), true))
                .orElseThrow(() -> new SpecException(unknown(name)));
    }

    /// The text of a file, for messages under the name that the user gave.
    ///
    /// @throws MalformedFileException where it is no text
    public static SourceText read(Path file) throws IOException {
        if (Files.isDirectory(file)) {
            throw malformed(file, "a folder");
        }
        try (InputStream in = Files.newInputStream(file)) {
            return read(file, in);
        }
    }

    /// A text that is a stream's.
    ///
    /// @param file for messages
    public static SourceText read(Path file, InputStream in) throws IOException {
        byte[] bytes = in.readNBytes(LARGEST + 1);
        if (bytes.length > LARGEST) {
            throw malformed(file, "more than %d bytes".formatted(LARGEST));
        }
        try {
            String text =
                    StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
            return SourceText.of(file.toString(), text);
        } catch (CharacterCodingException _) {
            throw malformed(file, "bytes that are no UTF-8");
        }
    }

    private static MalformedFileException malformed(Path file, String found) {
        return new MalformedFileException(
                file, -1, found, "the text of a spec, in UTF-8", "name a spec (.ucl)");
    }

    private static Diagnostic unknown(String name) {
        Diagnostic error =
                Diagnostic.error(
                        Span.NONE,
                        "'%s' is neither a file nor a bundled spec; expected the path of one, or one"
                                        .formatted(name)
                                + " of the %d names that `ucp spec list` shows"
                                        .formatted(SpecLibrary.names().size()));
        return NearestNames.hint(name, SpecLibrary.names()).map(error::withHint).orElse(error);
    }

    /// Imports name a file beside the importing one, or a bundled spec.
    public static ImportSource imports() {
        return (target, importer) -> {
            Path beside = Path.of(importer.name()).resolveSibling(target);
            if (Files.isRegularFile(beside)) {
                try {
                    return Optional.of(read(beside));
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
            return SpecLibrary.text(target);
        };
    }
}
