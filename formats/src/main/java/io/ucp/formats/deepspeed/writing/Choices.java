package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.RefusedException;

import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/// What nobody can decide silently, as options of the format.
///
/// @param rng `rng`: states of random generators
/// @param globalBatch `global-batch`: samples a step, where it is not to stay as it is
/// @param dtype `dtype`: of the model's weights, where it is not to stay as it is
/// @param weightsOnly `weights-only`: no optimizer
record Choices(Rng rng, Optional<Long> globalBatch, Optional<String> dtype, boolean weightsOnly) {
    enum Rng {
        /// Each rank that the source has keeps its own; another gets that of the source's rank at
        /// the same place modulo the source's degrees.
        KEEP,
        /// The first rank's on every rank.
        SPREAD,
        /// None: the training script has to be told not to load them.
        DROP
    }

    static final Set<String> KNOWN = Set.of("rng", "global-batch", "dtype", "weights-only");

    static Choices of(Map<String, String> options) {
        TreeSet<String> unknown = new TreeSet<>(options.keySet());
        unknown.removeAll(KNOWN);
        if (!unknown.isEmpty()) {
            throw new RefusedException(
                    "deepspeed",
                    "the option '%s'".formatted(unknown.first()),
                    "one of dtype, global-batch, rng, weights-only",
                    "leave it out");
        }
        return new Choices(
                rng(options.getOrDefault("rng", "keep")),
                Optional.ofNullable(options.get("global-batch")).map(Choices::batch),
                Optional.ofNullable(options.get("dtype")),
                options.containsKey("weights-only"));
    }

    private static Rng rng(String text) {
        return Arrays.stream(Rng.values())
                .filter(r -> r.name().toLowerCase(Locale.ROOT).equals(text))
                .findFirst()
                .orElseThrow(
                        () ->
                                new RefusedException(
                                        "rng",
                                        "'%s'".formatted(text),
                                        Arrays.stream(Rng.values())
                                                .map(r -> r.name().toLowerCase(Locale.ROOT))
                                                .collect(Collectors.joining(", ")),
                                        ""));
    }

    private static long batch(String text) {
        if (!text.matches("[1-9]\\d{0,12}")) {
            throw new RefusedException(
                    "global-batch", "'%s'".formatted(text), "a number of samples, 1 or more", "");
        }
        return Long.parseLong(text);
    }
}
