package io.ucp.cli;

import io.ucp.checkpoint.Parameter;
import io.ucp.convert.Described;
import io.ucp.convert.DigestFile;
import io.ucp.convert.Digests;
import io.ucp.convert.RunOptions;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// `ucp digest`: a fingerprint of every state that does not depend on the layout.
@Command(
        name = "digest",
        description = {
            "Print a digest of every state: equal for equal values in whatever layout or format."
        },
        footer = {"", "Example: diff <(ucp digest ckpt) <(ucp digest ckpt-universal)"})
final class Digest extends Reporting {
    @Parameters(
            paramLabel = "CKPT",
            description = "The checkpoint: its root, with `latest`, or one tag's folder.")
    private Path checkpoint;

    @Mixin private SourceOptions reading;

    @Option(
            names = "--progress",
            paramLabel = "WHEN",
            defaultValue = "auto",
            description = "Show how far it is: ${COMPLETION-CANDIDATES}.")
    private Meter.When progress;

    @Option(
            names = "--record",
            paramLabel = "FILE",
            description = "Write the digests to a file, for `ucp verify --against FILE`.")
    private Optional<Path> record = Optional.empty();

    @Option(
            names = "--files",
            description =
                    "With --record: also every file as it is, byte for byte, so that verify finds"
                            + " any change of this very copy.")
    private boolean files;

    /// @param shape without padding, as the digest counts it
    private record Line(String digest, DType dtype, long[] shape, String name, String state) {}

    @Override
    ExitCode run() throws IOException {
        if (files && record.isEmpty()) {
            throw new ParameterException(
                    spec().commandLine(),
                    "--files says what --record writes; expected --record FILE with it");
        }
        if (record.isPresent()) {
            requireFolder(record.get());
        }
        Described described = reading.describe(checkpoint);
        Map<String, Map<String, String>> digests;
        try (Meter meter = Meter.of(progress, false, err(), "reading")) {
            digests = Digests.of(described.inventory(), RunOptions.standard(), meter);
        }
        if (record.isPresent()) {
            DigestFile recorded = DigestFile.of(described.inventory(), digests);
            (files ? recorded.withFiles(described.source().index()) : recorded).write(record.get());
        }
        List<Line> lines = new ArrayList<>();
        for (Parameter parameter : described.inventory().parameters()) {
            Map<String, String> ofStates = digests.getOrDefault(parameter.name(), Map.of());
            parameter
                    .facts()
                    .states()
                    .forEach(
                            (state, dtype) ->
                                    lines.add(
                                            new Line(
                                                    ofStates.getOrDefault(state, "none"),
                                                    dtype,
                                                    parameter.facts().realShape().dims(),
                                                    parameter.name(),
                                                    state)));
        }
        lines.sort(Comparator.comparing(Line::name).thenComparing(Line::state));
        if (json()) {
            write(lines);
        } else {
            lines.forEach(line -> out().println(text(line)));
        }
        return ExitCode.DONE;
    }

    /// `DIGEST float32 [1004, 64] fp32 NAME`: the name last, since it may hold spaces.
    private static String text(Line line) {
        return "%s  %-8s  %-12s  %-10s  %s"
                .formatted(
                        line.digest(),
                        line.dtype().torchName(),
                        Shape.of(line.shape()),
                        line.state(),
                        Printable.of(line.name()));
    }

    private void write(List<Line> lines) {
        Json.print(
                out(),
                json ->
                        Json.objects(
                                json,
                                "digests",
                                lines,
                                (fields, line) -> {
                                    fields.writeStringField("parameter", line.name());
                                    fields.writeStringField("state", line.state());
                                    fields.writeStringField("dtype", line.dtype().torchName());
                                    Json.numbers(fields, "shape", line.shape());
                                    fields.writeStringField("digest", line.digest());
                                }));
    }
}
