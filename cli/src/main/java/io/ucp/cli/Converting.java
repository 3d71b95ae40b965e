package io.ucp.cli;

import io.ucp.convert.Conversion;
import io.ucp.convert.Leftover;
import io.ucp.convert.MemoryNeed;
import io.ucp.convert.OutputExistsException;
import io.ucp.convert.OutputFolder;
import io.ucp.convert.Prepared;
import io.ucp.convert.Report;
import io.ucp.convert.RunOptions;

import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.CancellationException;

/// A command that writes a checkpoint: how it writes, and what it says of it.
abstract class Converting extends Reporting {
    @Option(
            names = {"-o", "--output"},
            required = true,
            paramLabel = "OUT",
            description = "The folder to write, which must not exist without --overwrite.")
    private Path output;

    @Mixin private TargetOptions target;

    @Option(
            names = "--resume",
            description =
                    "Go on with what a run of the same conversion has written that was cut off, if"
                            + " there is any.")
    private boolean resume;

    @Option(
            names = "--restart",
            description = "Remove what a run that was cut off has written, and begin again.")
    private boolean restart;

    @Option(
            names = "--overwrite",
            description =
                    "Replace a checkpoint that has OUT's name, at once, when the new one is whole.")
    private boolean overwrite;

    @Option(
            names = "--from-master",
            description =
                    "Make weights of the fp32 masters even where the source's own are not those,"
                            + " rounded; without it that is an error.")
    private boolean fromMaster;

    @Option(
            names = "--no-fsync",
            description =
                    "Leave it to the system when the files reach the disk: faster, and a power"
                            + " cut may then leave files without content.")
    private boolean unsynced;

    @Mixin private ResourceOptions resources;

    @Option(
            names = "--verify",
            paramLabel = "HOW",
            defaultValue = "digest",
            description =
                    "${COMPLETION-CANDIDATES}: digest takes digests on the way; read-back reads the"
                            + " output as well, as any checkpoint, and compares it with the source"
                            + " before it gets its name.")
    private Verifying verify;

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

    /// How the output is verified.
    enum Verifying {
        digest,
        readBack;

        @Override
        public String toString() {
            return this == readBack ? "read-back" : name();
        }
    }

    @Override
    final ExitCode run() throws IOException {
        if (resume && restart) {
            throw new ParameterException(
                    spec().commandLine(), "--resume and --restart; expected one of them");
        }
        if (!resume && !overwrite && Files.exists(output, LinkOption.NOFOLLOW_LINKS)) {
            throw OutputExistsException.replaceable(output);
        }
        Prepared prepared = prepare(target);
        boolean text = !quiet && !json();
        if (text) {
            sources(out(), prepared);
            PlanReport.summary(out(), prepared, output);
            out().flush();
        }
        Optional<Report> converted = convert(prepared, options(prepared));
        if (converted.isEmpty()) {
            return ExitCode.INTERRUPTED;
        }
        Report report = converted.get();
        if (text) {
            ConversionReport.print(out(), Terminal.out(), prepared, report);
        } else if (json()) {
            Json.print(out(), fields -> ConversionReport.write(fields, prepared, report));
        }
        return ExitCode.DONE;
    }

    /// Everything up to the plan.
    abstract Prepared prepare(TargetOptions target) throws IOException;

    /// How the files come about where the source has the wanted layout already.
    RunOptions.Unchanged unchanged() {
        return RunOptions.Unchanged.ANEW;
    }

    /// What is read.
    void sources(PrintWriter out, Prepared prepared) {
        SourceReport.print(out, prepared.described());
    }

    /// Empty where it was stopped, which is said while the process still waits for it.
    private Optional<Report> convert(Prepared prepared, RunOptions options) throws IOException {
        PrintWriter err = err();
        try (Interruption stop = Interruption.armed(err, spec().qualifiedName())) {
            try (Meter meter = Meter.of(progress, quiet, err, "converting")) {
                return Optional.of(
                        Conversion.run(prepared, output, options.withCancelled(stop), meter));
            } catch (CancellationException e) {
                Failures.print(e, spec().commandLine(), json());
                return Optional.empty();
            }
        }
    }

    private RunOptions options(Prepared prepared) throws IOException {
        MemoryNeed memory = resources.memory(prepared, target.threads());
        Leftover leftover = resume ? Leftover.RESUME : restart ? Leftover.RESTART : Leftover.REFUSE;
        return resources
                .apply(RunOptions.standard())
                .withThreads(memory.threads())
                .withWindowBytes(memory.windowBytes())
                .withReadBack(verify == Verifying.readBack)
                .withStrict(target.strict())
                .withCheckedWeights(!fromMaster)
                .withUnchanged(unchanged())
                .withOutput(new OutputFolder.Rules(leftover, overwrite, !unsynced));
    }
}
