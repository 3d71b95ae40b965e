package io.ucp.cli;

import io.ucp.convert.Described;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/// `ucp inspect`: what a checkpoint is.
@Command(
        name = "inspect",
        description = "Say what a checkpoint is: layout, parameters, states, what is odd.",
        footer = {
            "",
            "Examples:",
            "  ucp inspect ckpt",
            "  ucp inspect ckpt --carried mp_rank_00_model_states.pt"
        })
final class Inspect extends Reporting {
    @Parameters(
            paramLabel = "CKPT",
            description = "The checkpoint: its root, with `latest`, or one tag's folder.")
    private Path checkpoint;

    @Mixin private SourceOptions reading;

    @Option(names = "--all", description = "Fold nothing: every parameter, file and rank.")
    private boolean all;

    @Option(
            names = "--carried",
            arity = "0..1",
            fallbackValue = "",
            paramLabel = "PATH",
            description =
                    "Print what is kept beside the tensors (arguments, schedulers, counters,"
                            + " random states): of every file, or of one.")
    private Optional<String> carried = Optional.empty();

    @Override
    ExitCode run() throws IOException {
        Described described = reading.describe(checkpoint);
        if (carried.isPresent()) {
            CarriedReport report =
                    CarriedReport.of(described.inventory().carried(), carried.get())
                            .orElseThrow(this::unknown);
            if (json()) {
                Json.print(out(), report::write);
            } else {
                report.print(out(), Terminal.out());
            }
        } else if (json()) {
            Json.print(out(), new Inspection(described)::write);
        } else {
            new Inspection(described).print(out(), Terminal.out(), all);
        }
        return ExitCode.DONE;
    }

    private ParameterException unknown() {
        return new ParameterException(
                spec().commandLine(),
                "the checkpoint carries no file '%s'; `ucp inspect --all` lists them"
                        .formatted(Printable.of(carried.orElse(""))));
    }
}
