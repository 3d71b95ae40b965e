package io.ucp.cli;

import io.ucp.convert.OpenedSource;
import io.ucp.parity.Grouping;
import io.ucp.parity.NewFolder;
import io.ucp.parity.Protection;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/// `ucp protect`: parity over a checkpoint's files.
@Command(
        name = "protect",
        description = {
            "Write parity for a checkpoint, so that lost or damaged files can be rebuilt, or read"
                    + " as if they were there."
        },
        footer = {
            "",
            "Any M of K + M parts can then be lost. Example:",
            "  ucp protect ckpt --data 4 --parity 2 --group node=8 -o ckpt-parity"
        })
final class Protect extends Reporting {
    private static final int MOST = 256;

    @Parameters(
            paramLabel = "CKPT",
            description = "The checkpoint: its root, with `latest`, or one tag's folder.")
    private Path checkpoint;

    @Option(
            names = {"-o", "--output"},
            required = true,
            paramLabel = "PARITY",
            description = "The folder to write, which must not exist.")
    private Path output;

    @Option(
            names = "--data",
            paramLabel = "K",
            defaultValue = "4",
            description = "Parts that share their parity, at most; ${DEFAULT-VALUE} if not given.")
    private int data;

    @Option(
            names = "--parity",
            paramLabel = "M",
            defaultValue = "2",
            description = "How many of them may be lost; ${DEFAULT-VALUE} if not given.")
    private int parity;

    @Option(
            names = "--group",
            paramLabel = "WHAT",
            description =
                    "What is lost together: one rank of each group along an axis (dp, tp, pp, ..),"
                            + " or a node of N ranks (node=N); single files if not given.")
    private Optional<String> group = Optional.empty();

    @Option(
            names = "--from",
            paramLabel = "FORMAT",
            description = "Read this format, where a folder holds several; see `ucp inspect`.")
    private Optional<String> from = Optional.empty();

    @Mixin private WorkOptions work;

    @Override
    ExitCode run() throws IOException {
        Grouping grouping = grouping();
        NewFolder.requireFree(output);
        OpenedSource opened = OpenedSource.open(checkpoint, from);
        Protection.Report report;
        try (Interruption stop = Interruption.armed(err(), spec().qualifiedName());
                Meter meter = Meter.of(work.progress(), false, err(), "protecting")) {
            report =
                    Protection.run(
                            new Protection.Request(checkpoint, opened, grouping, data, parity),
                            output,
                            work.running(stop),
                            meter);
        }
        if (json()) {
            write(report, opened, grouping);
        } else {
            print(report, opened, grouping);
        }
        return ExitCode.DONE;
    }

    private Grouping grouping() {
        if (data < 1 || parity < 1 || data + parity > MOST) {
            throw usage(
                    "--data %d --parity %d; expected 1 or more each, and at most %d together"
                            .formatted(data, parity, MOST));
        }
        String text = group.orElse("files");
        return Grouping.parse(text)
                .orElseThrow(
                        () ->
                                usage(
                                        "--group is '%s'; expected an axis such as dp, tp or pp, or"
                                                        .formatted(Printable.of(text))
                                                + " node=N"));
    }

    private ParameterException usage(String message) {
        return new ParameterException(spec().commandLine(), message);
    }

    private void print(Protection.Report report, OpenedSource opened, Grouping grouping) {
        SourceReport.line(
                out(),
                "source",
                "%s checkpoint %s"
                        .formatted(opened.taken().format(), opened.taken().tag())
                        .strip());
        SourceReport.line(
                out(),
                "protected",
                "%s, %s in %s of at most %d"
                        .formatted(
                                Quantity.count(report.files(), "file"),
                                Quantity.bytes(report.bytes()),
                                Quantity.count(report.sets(), "set"),
                                report.largestSet()));
        SourceReport.line(
                out(),
                "survives",
                "the loss of any %s of each set".formatted(Quantity.count(parity, lost(grouping))));
        SourceReport.line(
                out(),
                "parity",
                "%s in %s".formatted(Quantity.bytes(report.parityBytes()), output));
        SourceReport.line(out(), "holders", String.join(", ", report.holders()));
        boolean spare = report.holders().stream().anyMatch(name -> name.startsWith("spare-"));
        if (spare) {
            SourceReport.line(
                    out(),
                    "",
                    "spare-* folders belong on nodes that hold nothing else of the checkpoint");
        }
        SourceReport.line(
                out(),
                "next",
                "ucp scrub %s --parity %s"
                        .formatted(
                                ConversionReport.quoted(checkpoint),
                                ConversionReport.quoted(output)));
    }

    private static String lost(Grouping grouping) {
        return switch (grouping) {
            case Grouping.ByFile() -> "file";
            case Grouping.ByAxis(String axis) -> axis + " rank";
            case Grouping.ByNode _ -> "node";
        };
    }

    private void write(Protection.Report report, OpenedSource opened, Grouping grouping) {
        Json.print(
                out(),
                json -> {
                    json.writeStringField("format", opened.taken().format());
                    json.writeStringField("tag", opened.taken().tag());
                    json.writeStringField("folder", output.toString());
                    json.writeStringField("group", grouping.toString());
                    json.writeNumberField("data", data);
                    json.writeNumberField("parity", parity);
                    json.writeNumberField("files", report.files());
                    json.writeNumberField("bytes", report.bytes());
                    json.writeNumberField("parity_bytes", report.parityBytes());
                    json.writeNumberField("sets", report.sets());
                    Json.texts(json, "holders", report.holders());
                });
    }
}
