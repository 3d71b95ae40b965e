package io.ucp.cli;

import io.ucp.convert.MemoryNeed;
import io.ucp.convert.NotEnoughMemoryException;
import io.ucp.convert.Prepared;
import io.ucp.convert.RunOptions;
import io.ucp.io.SystemMemory;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.util.Optional;
import java.util.OptionalLong;

/// What a conversion may take of the machine beside a training job.
final class ResourceOptions {
    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    @Option(
            names = "--max-memory",
            paramLabel = "SIZE",
            description =
                    "Take about this much memory at most, with smaller buffers and then fewer"
                            + " workers; `ucp plan` says how much is needed.")
    private Optional<String> maxMemory = Optional.empty();

    @Option(
            names = "--max-rate",
            paramLabel = "SIZE/s",
            description = "Write at most this much a second: 500MB/s.")
    private Optional<String> maxRate = Optional.empty();

    @Option(
            names = "--drop-behind",
            description =
                    "Have the system forget what was read and written, so that other files stay in"
                            + " the page cache (Linux).")
    private boolean dropBehind;

    /// The workers and windows that fit.
    MemoryNeed memory(Prepared prepared, int threads) throws NotEnoughMemoryException {
        return MemoryNeed.within(
                prepared,
                threads,
                maxMemory.isPresent()
                        ? OptionalLong.of(
                                size(
                                        "--max-memory",
                                        maxMemory.get(),
                                        Quantity.size(maxMemory.get())))
                        : OptionalLong.empty(),
                SystemMemory.available());
    }

    RunOptions apply(RunOptions options) {
        OptionalLong rate = OptionalLong.empty();
        if (maxRate.isPresent()) {
            rate = OptionalLong.of(size("--max-rate", maxRate.get(), Quantity.rate(maxRate.get())));
        }
        return options.withMaxRate(rate).withDropBehind(dropBehind);
    }

    private long size(String name, String given, OptionalLong size) {
        if (size.isEmpty()) {
            throw new ParameterException(
                    spec.commandLine(),
                    "%s is '%s'; expected a size such as 500MB"
                            .formatted(name, Printable.of(given)));
        }
        return size.getAsLong();
    }
}
