package io.ucp.convert;

import io.ucp.execute.Progress;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/// The chain from source files to target files.
public final class Conversion {
    private Conversion() {}

    /// Opens a source, finds its spec, and places every byte in a parameter.
    public static Described describe(
            Path source, Optional<String> from, Optional<String> spec, Map<String, Long> settings)
            throws IOException {
        Objects.requireNonNull(source);
        throw new UnsupportedOperationException("wired when binding and planning land");
    }

    /// Everything up to the plan; reads no tensor data and writes nothing.
    public static Prepared prepare(Request request) throws IOException {
        Objects.requireNonNull(request);
        throw new UnsupportedOperationException("wired when binding and planning land");
    }

    /// Runs a plan into `output`, which must not exist and appears whole or not at all.
    public static Report run(Prepared prepared, Path output, RunOptions options, Progress progress)
            throws IOException {
        Objects.requireNonNull(prepared);
        throw new UnsupportedOperationException("wired when binding and planning land");
    }
}
