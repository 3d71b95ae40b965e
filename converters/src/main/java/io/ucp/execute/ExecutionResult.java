package io.ucp.execute;

import io.ucp.plan.Step;

import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;

/// What came of executing a plan.
///
/// @param digests parameter -> state -> digest, of every state that the plan digests
/// @param differences between copies, by label; none where all agree
public record ExecutionResult(
        Map<String, Map<String, String>> digests, List<Difference> differences, Counts counts) {
    public ExecutionResult {
        differences = List.copyOf(differences);
    }

    /// Two copies of a state that are not equal byte for byte.
    ///
    /// @param rule what they should be to each other; two checkpoints compared count as equal
    /// @param copy number of the copy in its label, compared with `firstCopy`
    /// @param label number of the label in the plan
    /// @param first row-major index of an element that differs, the first where the state lies
    ///   whole
    /// @param elements that differ
    /// @param largest absolute difference, NaN where one side is; absent for types without
    ///   arithmetic here
    /// @param sum of the absolute differences, NaN where `largest` is
    /// @param ulps the largest difference in units of the last place, `Long.MAX_VALUE` where one
    ///   side is NaN
    public record Difference(
            String parameter,
            String state,
            String firstCopy,
            String otherCopy,
            Step.Rule rule,
            int label,
            int copy,
            long elements,
            long first,
            OptionalDouble largest,
            double sum,
            long ulps) {}

    /// @param bytesRead from sources
    /// @param bytesWritten to targets
    /// @param bytesKept of targets, which an earlier run had written
    /// @param bytesCloned of targets, which share the blocks of their sources
    /// @param sourcesOpened how often a source was opened
    /// @param filesWritten targets
    /// @param windows filled
    public record Counts(
            long bytesRead,
            long bytesWritten,
            long bytesKept,
            long bytesCloned,
            long sourcesOpened,
            long filesWritten,
            long windows) {}
}
