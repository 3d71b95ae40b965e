package io.ucp.formats.distcp;

import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;

/// Proves that the chunks of a tensor hold every element once: they lie inside it, no two overlap,
/// and together they have as many elements.
final class ChunkTiling {
    private ChunkTiling() {}

    /// What is wrong, in words.
    static Optional<String> problem(Shape whole, List<Chunk> chunks) {
        long held = 0;
        for (Chunk chunk : chunks) {
            if (!chunk.isIn(whole)) {
                return Optional.of("the chunk %s reaches past its end".formatted(chunk));
            }
            try {
                held = Math.addExact(held, chunk.extent().count());
            } catch (ArithmeticException _) {
                return Optional.of("chunks of more than 2^63 elements");
            }
        }
        Optional<String> overlap = overlap(whole, chunks);
        if (overlap.isPresent()) {
            return overlap;
        }
        return held == whole.count()
                ? Optional.empty()
                : Optional.of(
                        "its %d chunks hold %d of %d elements"
                                .formatted(chunks.size(), held, whole.count()));
    }

    /// Sweeps along the dim with the most cuts, past those chunks alone that a plane there meets.
    private static Optional<String> overlap(Shape whole, List<Chunk> chunks) {
        if (chunks.size() < 2) {
            return Optional.empty();
        }
        int along = mostCut(whole, chunks);
        if (along < 0) {
            return Optional.of("%d chunks of one element".formatted(chunks.size()));
        }
        List<Chunk> sorted = new ArrayList<>(chunks);
        sorted.removeIf(chunk -> chunk.extent().count() == 0);
        sorted.sort(Comparator.comparing(chunk -> chunk.start().get(along)));
        List<Chunk> met = new ArrayList<>();
        for (Chunk chunk : sorted) {
            long from = chunk.start().get(along);
            met.removeIf(other -> other.start().get(along) + other.extent().dim(along) <= from);
            for (Chunk other : met) {
                if (chunk.overlaps(other)) {
                    return Optional.of("the chunks %s and %s overlap".formatted(other, chunk));
                }
            }
            met.add(chunk);
        }
        return Optional.empty();
    }

    private static int mostCut(Shape whole, List<Chunk> chunks) {
        int most = -1;
        int cuts = 0;
        for (int d = 0; d < whole.rank(); d++) {
            TreeSet<Long> starts = new TreeSet<>();
            for (Chunk chunk : chunks) {
                starts.add(chunk.start().get(d));
            }
            if (starts.size() > cuts) {
                most = d;
                cuts = starts.size();
            }
        }
        return most;
    }
}
