package io.ucp.convert;

import java.util.OptionalLong;
import java.util.function.BooleanSupplier;

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
        return new RunOptions(
                changed,
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

    public RunOptions withWindowBytes(int changed) {
        return new RunOptions(
                threads,
                changed,
                strict,
                output,
                maxRate,
                dropBehind,
                readBack,
                checksWeights,
                unchanged,
                cancelled);
    }

    public RunOptions withStrict(boolean changed) {
        return new RunOptions(
                threads,
                windowBytes,
                changed,
                output,
                maxRate,
                dropBehind,
                readBack,
                checksWeights,
                unchanged,
                cancelled);
    }

    public RunOptions withOutput(OutputFolder.Rules changed) {
        return new RunOptions(
                threads,
                windowBytes,
                strict,
                changed,
                maxRate,
                dropBehind,
                readBack,
                checksWeights,
                unchanged,
                cancelled);
    }

    public RunOptions withMaxRate(OptionalLong changed) {
        return new RunOptions(
                threads,
                windowBytes,
                strict,
                output,
                changed,
                dropBehind,
                readBack,
                checksWeights,
                unchanged,
                cancelled);
    }

    public RunOptions withDropBehind(boolean changed) {
        return new RunOptions(
                threads,
                windowBytes,
                strict,
                output,
                maxRate,
                changed,
                readBack,
                checksWeights,
                unchanged,
                cancelled);
    }

    public RunOptions withReadBack(boolean changed) {
        return new RunOptions(
                threads,
                windowBytes,
                strict,
                output,
                maxRate,
                dropBehind,
                changed,
                checksWeights,
                unchanged,
                cancelled);
    }

    public RunOptions withCheckedWeights(boolean changed) {
        return new RunOptions(
                threads,
                windowBytes,
                strict,
                output,
                maxRate,
                dropBehind,
                readBack,
                changed,
                unchanged,
                cancelled);
    }

    public RunOptions withCancelled(BooleanSupplier changed) {
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
                changed);
    }

    public RunOptions withUnchanged(Unchanged changed) {
        return new RunOptions(
                threads,
                windowBytes,
                strict,
                output,
                maxRate,
                dropBehind,
                readBack,
                checksWeights,
                changed,
                cancelled);
    }
}
