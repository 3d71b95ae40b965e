package io.ucp.cli;

import io.ucp.convert.Conversion;
import io.ucp.convert.OutputExistsException;
import io.ucp.convert.Prepared;
import io.ucp.convert.Report;
import io.ucp.convert.RunOptions;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;

/// `ucp convert`: the main job.
@Command(
        name = "convert",
        description = "Convert a checkpoint to another format, bit for bit.",
        footer = {
            "",
            "The output appears whole, under its name, or not at all. Example:",
            "  ucp convert ckpt -o ckpt-universal --to universal"
        })
final class Convert extends Reporting {
    @Parameters(
            paramLabel = "SRC",
            description = "The checkpoint: its root, with `latest`, or one tag's folder.")
    private Path source;

    @Option(
            names = {"-o", "--output"},
            required = true,
            paramLabel = "OUT",
            description = "The folder to write, which must not exist.")
    private Path output;

    @Mixin private TargetOptions target;

    @Mixin private SourceOptions reading;

    @Option(
            names = "--no-fsync",
            description =
                    "Leave it to the system when the files reach the disk: faster, and a power"
                            + " cut may then leave files without content.")
    private boolean unsynced;

    @Option(
            names = "--progress",
            paramLabel = "WHEN",
            defaultValue = "auto",
            description =
                    "Show how far it is: ${COMPLETION-CANDIDATES}; auto is on a terminal only.")
    private Meter.When progress;

    @Option(
            names = {"-q", "--quiet"},
            description = "Print nothing but errors.")
    private boolean quiet;

    @Override
    ExitCode run() throws IOException {
        if (Files.exists(output, LinkOption.NOFOLLOW_LINKS)) {
            throw new OutputExistsException(output);
        }
        Prepared prepared = target.prepare(source, reading);
        boolean text = !quiet && !json();
        if (text) {
            SourceReport.print(out(), prepared.described());
            PlanReport.summary(out(), prepared, output);
            out().flush();
        }
        Report report = convert(prepared);
        if (text) {
            ConversionReport.print(out(), Terminal.out(), prepared, report);
        } else if (json()) {
            Json.print(out(), fields -> ConversionReport.write(fields, prepared, report));
        }
        return ExitCode.DONE;
    }

    private Report convert(Prepared prepared) throws IOException {
        PrintWriter err = err();
        String command = spec().qualifiedName();
        try (Interruption stop = Interruption.armed(err, command);
                Meter meter = Meter.of(progress, quiet, err, "converting")) {
            return Conversion.run(
                    prepared,
                    output,
                    new RunOptions(target.threads(), !unsynced, target.strict(), stop),
                    meter);
        }
    }
}
