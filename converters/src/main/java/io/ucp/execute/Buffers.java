package io.ucp.execute;

import io.ucp.plan.CopyPlan;
import io.ucp.plan.Step;

import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/// A worker's memory, outside the heap and the same however large the checkpoint; the arena's owner
/// frees it.
///
/// @param window what is written
/// @param against the other checkpoint's window, empty where none is compared
/// @param staging source bytes from which scattered elements are picked
/// @param replica a copy to compare or average
/// @param leader the copy that replicas are compared with, where it is not the value
/// @param uncast the value before a cast
record Buffers(
        ByteBuffer window,
        ByteBuffer against,
        ByteBuffer staging,
        ByteBuffer replica,
        ByteBuffer leader,
        ByteBuffer uncast) {
    /// Bytes of each.
    record Sizes(int window, int against, int scratch, int leader) {
        long total() {
            return (long) window + against + 3L * scratch + leader;
        }

        /// @param encoding whether compressed targets are written, whose windows are given
        static Sizes of(CopyPlan plan, int bufferBytes, boolean encoding) {
            int window =
                    plan.targets().stream()
                            .mapToInt(t -> Windows.largest(t, bufferBytes, encoding))
                            .max()
                            .orElse(Windows.LEAST);
            boolean compares = plan.targets().stream().anyMatch(t -> t.against().isPresent());
            int scratch = Math.max(bufferBytes, Windows.LEAST);
            boolean leads =
                    plan.targets().stream()
                            .anyMatch(
                                    t ->
                                            leads(t.steps())
                                                    || t.against()
                                                            .filter(a -> leads(a.steps()))
                                                            .isPresent());
            return new Sizes(window, compares ? window : 0, scratch, leads ? scratch : 0);
        }
    }

    /// Whether more than the first copy is no plain replica.
    private static boolean leads(List<Step> steps) {
        return steps.stream()
                .anyMatch(
                        step ->
                                step instanceof Step.Elements elements
                                        && elements.copies().stream()
                                                        .filter(c -> c.rule() != Step.Rule.EQUAL)
                                                        .limit(2)
                                                        .count()
                                                > 1);
    }

    static Buffers in(Arena arena, Sizes sizes) {
        return new Buffers(
                buffer(arena, sizes.window()),
                buffer(arena, sizes.against()),
                buffer(arena, sizes.scratch()),
                buffer(arena, sizes.scratch()),
                buffer(arena, sizes.leader()),
                buffer(arena, sizes.scratch()));
    }

    private static ByteBuffer buffer(Arena arena, int bytes) {
        return arena.allocate(bytes, 4096).asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    }
}
