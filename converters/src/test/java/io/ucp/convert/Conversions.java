package io.ucp.convert;

import io.ucp.bind.TargetRequest;
import io.ucp.execute.Progress;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/// Conversions of tests that ask for little.
final class Conversions {
    private Conversions() {}

    static Request request(
            Path source, String to, Optional<String> spec, Optional<TargetRequest> job) {
        return new Request(source, Optional.empty(), to, spec, Map.of(), Map.of(), job);
    }

    /// @return `output`
    static Path run(Request request, Path output) throws IOException {
        Conversion.run(Conversion.prepare(request), output, RunOptions.standard(), Progress.NONE);
        return output;
    }
}
