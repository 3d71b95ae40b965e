package io.ucp.cli;

import io.ucp.convert.Described;
import io.ucp.formats.RefusedException;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;

/// `ucp infer`: a checkpoint's metadata as a spec to read, correct and keep.
@Command(
        name = "infer",
        description = "Print the spec that describes a checkpoint.",
        footer = {"", "Example: ucp infer ckpt >model.ucl && ucp check model.ucl --against ckpt"})
final class Infer extends Reporting {
    @Parameters(
            paramLabel = "CKPT",
            description = "The checkpoint: its root, with `latest`, or one tag's folder.")
    private Path checkpoint;

    @Mixin private SourceOptions reading;

    @Override
    ExitCode run() throws IOException {
        Described described = reading.describe(checkpoint);
        if (json()) {
            Json.print(out(), fields -> SourceReport.write(fields, described));
            return ExitCode.DONE;
        }
        if (described.specText().isEmpty()) {
            throw new RefusedException(
                    described.source().taken().folder().toString(),
                    "every parameter lies whole, so there is no layout to describe",
                    "a checkpoint that is cut up for its ranks",
                    "");
        }
        out().print(described.specText());
        out().flush();
        return ExitCode.DONE;
    }
}
