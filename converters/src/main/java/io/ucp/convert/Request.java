package io.ucp.convert;

import io.ucp.bind.TargetRequest;

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
/// @param targetSpec a file or the name of a bundled spec that has the target's names and cuts
/// @param names under which parameters go on
/// @param target the job that a rank-sharded target is for; absent for forms that hold every
///   parameter whole
public record Request(
        Path source,
        Optional<String> from,
        String to,
        Optional<String> spec,
        Map<String, Long> settings,
        Map<String, String> options,
        Optional<String> targetSpec,
        Names names,
        Optional<TargetRequest> target) {
    /// The option that leaves the optimizer's states behind.
    public static final String WEIGHTS_ONLY = "weights-only";

    public Request {
        settings = Map.copyOf(settings);
        options = Map.copyOf(options);
    }

    /// For a target that holds every parameter whole.
    public Request(
            Path source,
            Optional<String> from,
            String to,
            Optional<String> spec,
            Map<String, Long> settings,
            Map<String, String> options) {
        this(
                source,
                from,
                to,
                spec,
                settings,
                options,
                Optional.empty(),
                Names.AUTO,
                Optional.empty());
    }

    /// Under the names that the target takes.
    public Request(
            Path source,
            Optional<String> from,
            String to,
            Optional<String> spec,
            Map<String, Long> settings,
            Map<String, String> options,
            Optional<TargetRequest> target) {
        this(source, from, to, spec, settings, options, Optional.empty(), Names.AUTO, target);
    }

    /// Whether the optimizer's states stay behind.
    public boolean weightsOnly() {
        return options.containsKey(WEIGHTS_ONLY);
    }

    /// For the ranks of a job.
    public Request withTarget(TargetRequest job) {
        return new Request(
                source, from, to, spec, settings, options, targetSpec, names, Optional.of(job));
    }

    /// With the target's names and cuts left to its format.
    Request withoutTargetSpec() {
        return new Request(
                source, from, to, spec, settings, options, Optional.empty(), names, target);
    }
}
