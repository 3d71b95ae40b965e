package io.ucp.convert;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/// What a user asks to be converted.
///
/// @param source a checkpoint's root or its own folder
/// @param from the format to read, else detected
/// @param to the format to write
/// @param spec a file or the name of a bundled spec, else the checkpoint's own metadata
/// @param settings constants of the spec (`--set name=value`)
/// @param options of the target format (`compress` -> `zstd:3`)
public record Request(
        Path source,
        Optional<String> from,
        String to,
        Optional<String> spec,
        Map<String, Long> settings,
        Map<String, String> options) {
    public Request {
        settings = Map.copyOf(settings);
        options = Map.copyOf(options);
    }
}
