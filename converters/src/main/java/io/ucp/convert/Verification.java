package io.ucp.convert;

import io.ucp.execute.Progress;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/// Whether a checkpoint is whole, and whether two hold the same state.
public final class Verification {
    private Verification() {}

    /// @param differences empty where all is well
    /// @param states checked
    /// @param bytes read
    public record Verdict(List<Difference> differences, long states, long bytes, List<String> notes) {
        public boolean equal() {
            return differences.isEmpty();
        }
    }

    /// @param parameter name, or a file's path for damage outside of parameters
    /// @param state empty where the whole parameter (or file) is meant
    /// @param what one line: how many elements, the first index, by how much, or what is damaged
    public record Difference(String parameter, String state, String what) {}

    /// Structure, digests kept in the checkpoint, and replicas.
    public static Verdict check(
            Path source, Optional<String> from, Optional<String> spec, RunOptions options, Progress progress)
            throws IOException {
        Objects.requireNonNull(source);
        throw new UnsupportedOperationException("wired when binding and planning land");
    }

    /// The same state, whatever the layouts and formats are.
    public static Verdict compare(
            Described first, Described second, RunOptions options, Progress progress)
            throws IOException {
        Objects.requireNonNull(first);
        throw new UnsupportedOperationException("wired when binding and planning land");
    }
}
