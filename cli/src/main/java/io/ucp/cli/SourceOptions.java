package io.ucp.cli;

import io.ucp.convert.Conversion;
import io.ucp.convert.Described;
import io.ucp.parity.Degraded;

import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/// How a checkpoint is to be read: the options that all commands with a checkpoint share.
final class SourceOptions {
    @Option(
            names = "--from",
            paramLabel = "FORMAT",
            completionCandidates = FormatNames.class,
            description = "Read this format, where a folder holds several; see `ucp inspect`.")
    private Optional<String> from = Optional.empty();

    @Option(
            names = "--spec",
            paramLabel = "FILE|NAME",
            description =
                    "The layout spec: a file, or a name of `ucp spec list`. Without it the"
                            + " checkpoint's own metadata says how it was cut.")
    private Optional<String> spec = Optional.empty();

    @Option(
            names = "--set",
            paramLabel = "NAME=NUMBER",
            description = "Give a constant of the spec its value; may be repeated.")
    private Map<String, Long> settings = new LinkedHashMap<>();

    @Option(
            names = "--parity",
            paramLabel = "DIR",
            description =
                    "Read lost files through the parity that `ucp protect` wrote: what is missing"
                            + " is decoded on the way.")
    private Optional<Path> parity = Optional.empty();

    @Option(
            names = "--names",
            paramLabel = "WHICH",
            description =
                    "Names of parameters: ${COMPLETION-CANDIDATES}. The source's own (keep), or"
                            + " those of Hugging Face (hf) by the bundled family that fits; auto is"
                            + " what the target's format takes.")
    private Names names = Names.auto;

    /// Whose names parameters have.
    enum Names {
        auto,
        keep,
        hf
    }

    io.ucp.convert.Names names() {
        return switch (names) {
            case auto -> io.ucp.convert.Names.AUTO;
            case keep -> io.ucp.convert.Names.KEEP;
            case hf -> io.ucp.convert.Names.HF;
        };
    }

    Optional<String> from() {
        return from;
    }

    Optional<String> spec() {
        return spec;
    }

    Map<String, Long> settings() {
        return settings;
    }

    /// `source`, or a path through which what is lost of it can be read.
    Path through(Path source) throws IOException {
        return parity.isPresent() ? Degraded.open(source, parity.get()) : source;
    }

    Described describe(Path source) throws IOException {
        return Conversion.describe(through(source), from, spec, settings, names());
    }
}
