package io.ucp.cli;

import io.ucp.bind.SpecLibrary;
import io.ucp.lang.ImportSource;
import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.NearestNames;
import io.ucp.lang.diagnostic.SourceText;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/// Specs by what a user calls them: a file, or the name of a bundled one.
final class SpecSource {
    private SpecSource() {}

    /// With its imports.
    ///
    /// @throws io.ucp.lang.diagnostic.SpecException with everything that is wrong with it
    static Spec parse(String spec) throws IOException {
        ImportSource imports = SpecSource::imported;
        return Ucl.parse(text(spec), imports);
    }

    /// A file of that name comes before a bundled spec.
    static SourceText text(String spec) throws IOException {
        Path file = Path.of(spec);
        if (Files.exists(file)) {
            return SpecFile.read(file);
        }
        return SpecLibrary.text(spec)
                .orElseThrow(
                        () ->
                                new UnknownSpecException(
                                        spec + ": no such file, and no bundled spec is named so",
                                        remedy(spec)));
    }

    /// By its name only.
    static SourceText bundled(String name) {
        return SpecLibrary.text(name)
                .orElseThrow(
                        () ->
                                new UnknownSpecException(
                                        name + ": no bundled spec is named so", remedy(name)));
    }

    private static String remedy(String name) {
        return NearestNames.hint(name, SpecLibrary.names())
                .orElse("`ucp spec list` has the bundled ones");
    }

    /// A bundled spec, or a file relative to the one that imports it.
    private static Optional<SourceText> imported(String target, SourceText importer) {
        Optional<SourceText> bundled = SpecLibrary.text(target);
        if (bundled.isPresent()) {
            return bundled;
        }
        Path file = Path.of(importer.name()).resolveSibling(target);
        if (!Files.exists(file)) {
            return Optional.empty();
        }
        try {
            return Optional.of(SpecFile.read(file));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
