package io.ucp.cli;

import io.ucp.convert.Described;
import io.ucp.convert.Request;
import io.ucp.convert.Settling;
import io.ucp.parity.Degraded;

import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
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

    @Option(
            names = "--wait",
            paramLabel = "SECONDS",
            description =
                    "Wait so long at most for a checkpoint that its job is still writing, until it"
                            + " is whole, its pointer (`latest`) is written and its files stay as"
                            + " they are.")
    private Optional<Long> wait = Optional.empty();

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
        Path through = through(source);
        return settled(through, () -> Described.of(through, from, spec, settings, names()));
    }

    /// The source of a conversion, through which [#through] reads.
    Described describe(Request request) throws IOException {
        return settled(request.source(), () -> Described.of(request));
    }

    private Described settled(Path source, Settling.Reading reading) throws IOException {
        return wait.isPresent()
                ? Settling.await(source, reading, Settling.Clock.of(Duration.ofSeconds(wait.get())))
                : Settling.now(source, reading);
    }
}
