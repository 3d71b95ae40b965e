package io.ucp.convert;

import java.util.OptionalLong;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/// How a conversion is run.
///
/// @param threads workers
/// @param windowBytes what a worker reads, checks and writes at a time
/// @param strict refuse where the target loses something or copies differ (`take first`)
/// @param output what becomes of what lies there already, and whether files are forced to the disk
/// @param maxRate bytes of the target a second, absent for as fast as it goes
/// @param dropBehind whether files are dropped from the page cache behind the work
/// @param readBack whether the output is read and compared with the source before it gets its name
/// @param checksWeights whether weights made of a master are held against those that the source has
/// @param unchanged how the files come about where the source has the target's layout already
/// @param cancelled asked often; true stops
public record RunOptions(
        int threads,
        int windowBytes,
        boolean strict,
        OutputFolder.Rules output,
        OptionalLong maxRate,
        boolean dropBehind,
        boolean readBack,
        boolean checksWeights,
        Unchanged unchanged,
        BooleanSupplier cancelled) {
    /// What to do where a source has the wanted layout already.
    public enum Unchanged {
        /// What is done with any other.
        ANEW,
        /// Its files are copied as they are.
        COPIED,
        /// Its files are cloned, and copied where the file system does not have that.
        CLONED
    }

    /// Of a window where nothing else is asked for.
    public static final int WINDOW_BYTES = 1 << 20;

    public static RunOptions standard() {
        return new RunOptions(
                Runtime.getRuntime().availableProcessors(),
                WINDOW_BYTES,
                false,
                OutputFolder.Rules.standard(),
                OptionalLong.empty(),
                false,
                false,
                true,
                Unchanged.ANEW,
                () -> false);
    }

    public RunOptions withThreads(int changed) {
        return with(draft -> draft.threads = changed);
    }

    public RunOptions withWindowBytes(int changed) {
        return with(draft -> draft.windowBytes = changed);
    }

    public RunOptions withStrict(boolean changed) {
        return with(draft -> draft.strict = changed);
    }

    public RunOptions withOutput(OutputFolder.Rules changed) {
        return with(draft -> draft.output = changed);
    }

    public RunOptions withMaxRate(OptionalLong changed) {
        return with(draft -> draft.maxRate = changed);
    }

    public RunOptions withDropBehind(boolean changed) {
        return with(draft -> draft.dropBehind = changed);
    }

    public RunOptions withReadBack(boolean changed) {
        return with(draft -> draft.readBack = changed);
    }

    public RunOptions withCheckedWeights(boolean changed) {
        return with(draft -> draft.checksWeights = changed);
    }

    public RunOptions withCancelled(BooleanSupplier changed) {
        return with(draft -> draft.cancelled = changed);
    }

    public RunOptions withUnchanged(Unchanged changed) {
        return with(draft -> draft.unchanged = changed);
    }

    private RunOptions with(Consumer<Draft> change) {
        Draft draft = new Draft(this);
        change.accept(draft);
        return draft.done();
    }

    /// The same, to be changed.
    private static final class Draft {
        private int threads;
        private int windowBytes;
        private boolean strict;
        private OutputFolder.Rules output;
        private OptionalLong maxRate;
        private boolean dropBehind;
        private boolean readBack;
        private boolean checksWeights;
        private Unchanged unchanged;
        private BooleanSupplier cancelled;

        Draft(RunOptions of) {
            this.threads = of.threads;
            this.windowBytes = of.windowBytes;
            this.strict = of.strict;
            this.output = of.output;
            this.maxRate = of.maxRate;
            this.dropBehind = of.dropBehind;
            this.readBack = of.readBack;
            this.checksWeights = of.checksWeights;
            this.unchanged = of.unchanged;
            this.cancelled = of.cancelled;
        }

        RunOptions done() {
            return new RunOptions(
                    threads,
                    windowBytes,
                    strict,
                    output,
                    maxRate,
                    dropBehind,
                    readBack,
                    checksWeights,
                    unchanged,
                    cancelled);
        }
    }
}
