package io.ucp.cli;

import io.ucp.convert.Prepared;
import io.ucp.convert.RunOptions;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;

/// `ucp convert`: the main job.
@Command(
        name = "convert",
        description = "Convert a checkpoint to another format, bit for bit.",
        footer = {
            "",
            "The output appears whole, under its name, or not at all. What a run that was cut off"
                    + " has",
            "written is kept beside it. Examples:",
            "  ucp convert ckpt -o ckpt-universal --to universal",
            "  ucp convert ckpt -o ckpt-universal --to universal --resume"
        })
final class Convert extends Converting {
    @Parameters(
            paramLabel = "SRC",
            description = "The checkpoint: its root, with `latest`, or one tag's folder.")
    private Path source;

    @Mixin private SourceOptions reading;

    @Option(
            names = "--reflink",
            paramLabel = "HOW",
            defaultValue = "auto",
            description =
                    "Where the source has the wanted layout already, its files are copied:"
                            + " ${COMPLETION-CANDIDATES}; auto shares their blocks until somebody"
                            + " writes to them, where the file system can do that (never a hard"
                            + " link); never copies all bytes.")
    private Reflink reflink;

    /// How files are copied as they are.
    enum Reflink {
        auto,
        never
    }

    @Override
    Prepared prepare(TargetOptions target) throws IOException {
        return target.prepare(source, reading);
    }

    @Override
    RunOptions.Unchanged unchanged() {
        return switch (reflink) {
            case auto -> RunOptions.Unchanged.CLONED;
            case never -> RunOptions.Unchanged.COPIED;
        };
    }
}
