package io.ucp.formats.hub;

import io.ucp.formats.RefusedException;
import io.ucp.tensor.DType;

import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/// What is asked of a model folder.
///
/// @param maxShardSize `max-shard-size`: bytes of tensors in a file, where it is asked for
/// @param dtype `dtype`: of the weights, where they are not to stay as they are
/// @param withOptimizer `with-optimizer`: whether the other states are written too
public record WritingOptions(
        Optional<Long> maxShardSize, Optional<DType> dtype, boolean withOptimizer) {
    private static final String MAX_SHARD_SIZE = "max-shard-size";
    private static final String DTYPE = "dtype";
    private static final String WITH_OPTIMIZER = "with-optimizer";
    public static final Set<String> NAMES = Set.of(MAX_SHARD_SIZE, DTYPE, WITH_OPTIMIZER);

    /// @param format for messages
    public static WritingOptions of(String format, Map<String, String> options) {
        TreeSet<String> unknown = new TreeSet<>(options.keySet());
        unknown.removeAll(NAMES);
        if (!unknown.isEmpty()) {
            throw new RefusedException(
                    format,
                    "the option '%s'".formatted(unknown.first()),
                    "one of " + String.join(", ", new TreeSet<>(NAMES)),
                    "leave it out");
        }
        return new WritingOptions(
                Optional.ofNullable(options.get(MAX_SHARD_SIZE)).map(WritingOptions::size),
                Optional.ofNullable(options.get(DTYPE)).map(WritingOptions::dtype),
                options.getOrDefault(WITH_OPTIMIZER, "false").equals("true"));
    }

    private static long size(String text) {
        try {
            long size = Long.parseLong(text);
            if (size > 0) {
                return size;
            }
        } catch (NumberFormatException _) {
            // refused below
        }
        throw new RefusedException(MAX_SHARD_SIZE, "'%s'".formatted(text), "bytes, 1 or more", "");
    }

    private static DType dtype(String text) {
        return switch (text) {
            case "bf16" -> DType.BFLOAT16;
            case "fp16" -> DType.FLOAT16;
            case "fp32" -> DType.FLOAT32;
            case String _ ->
                    throw new RefusedException(
                            DTYPE, "'%s'".formatted(text), "bf16, fp16 or fp32", "");
        };
    }

    /// Whether a source's own files would be the answer.
    public boolean isPlain() {
        return maxShardSize.isEmpty() && dtype.isEmpty();
    }
}
