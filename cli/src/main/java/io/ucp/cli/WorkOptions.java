package io.ucp.cli;

import io.ucp.convert.Leftover;
import io.ucp.convert.OutputFolder;
import io.ucp.convert.RunOptions;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.util.Optional;
import java.util.function.BooleanSupplier;

/// How the commands on parity work.
final class WorkOptions {
    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Workers; as many as there are processors if not given.")
    private Optional<Integer> threads = Optional.empty();

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
            description = "Show how far it is: ${COMPLETION-CANDIDATES}.")
    private Meter.When progress;

    Meter.When progress() {
        return progress;
    }

    RunOptions running(BooleanSupplier cancelled) {
        int workers = threads.orElse(Runtime.getRuntime().availableProcessors());
        if (workers < 1 || workers > 1024) {
            throw new ParameterException(
                    spec.commandLine(), "--threads is %d; expected 1 to 1024".formatted(workers));
        }
        return RunOptions.standard()
                .withThreads(workers)
                .withOutput(new OutputFolder.Rules(Leftover.REFUSE, false, !unsynced))
                .withCancelled(cancelled);
    }
}
