package io.ucp.formats.dcp;

import io.ucp.formats.distcp.Chunk;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Which rank writes which chunk. What several ranks have is written by the one with the least to
/// write so far, as torch decides it: chunk by chunk in the order in which the ranks list them,
/// rank 0's first; each counts with the bytes of its whole tensor, an object as one.
///
/// Source: torch `distributed/checkpoint/_dedup_save_plans.py`.
final class SavePlan {
    private final RankGrid grid;

    /// Chunks by the first rank that has them.
    private final List<List<Held>> byFirstHolder = new ArrayList<>();

    private SavePlan(RankGrid grid) {
        this.grid = grid;
        for (int rank = 0; rank < grid.ranks(); rank++) {
            byFirstHolder.add(new ArrayList<>());
        }
    }

    /// @param entry index of the key
    /// @param chunk of the tensor; of no dims for an object
    record Item(int entry, Chunk chunk) {}

    /// @param ranks that have it, none in particular where all have
    /// @param size bytes of the whole tensor
    private record Held(Item item, List<Integer> ranks, long size) {}

    /// For each rank, what it writes, in the order of the state dict.
    static List<List<Item>> of(List<Entry> entries, RankGrid grid) {
        SavePlan plan = new SavePlan(grid);
        for (int e = 0; e < entries.size(); e++) {
            plan.add(e, entries.get(e).value());
        }
        return plan.assigned();
    }

    private void add(int entry, Entry.Value value) {
        switch (value) {
            case Entry.Pickled _ -> held(new Item(entry, Chunk.whole(Shape.of())), List.of(), 1);
            case Entry.Own own ->
                    held(
                            new Item(entry, Chunk.whole(own.shape())),
                            List.of(),
                            own.shape().count() * own.dtype().width());
            case Entry.Bound bound ->
                    holders(bound)
                            .forEach(
                                    (chunk, ranks) ->
                                            held(
                                                    new Item(entry, chunk),
                                                    ranks,
                                                    bound.shape().count() * bound.dtype().width()));
        }
    }

    private void held(Item item, List<Integer> ranks, long size) {
        int first = ranks.isEmpty() ? 0 : ranks.getFirst();
        byFirstHolder.get(first).add(new Held(item, ranks, Math.max(1, size)));
    }

    private Map<Chunk, List<Integer>> holders(Entry.Bound bound) {
        Map<Chunk, List<Integer>> holders = new LinkedHashMap<>();
        if (bound.chunks().size() == 1) {
            return Map.of(bound.chunks().getFirst(), List.of());
        }
        List<Chunk> chunks =
                bound.chunks().isEmpty()
                        ? grid.chunks(bound.shape(), bound.tpDim())
                        : bound.chunks();
        for (int i = 0; i < chunks.size(); i++) {
            holders.computeIfAbsent(chunks.get(i), _ -> new ArrayList<>()).add(i % grid.ranks());
        }
        return holders;
    }

    private List<List<Item>> assigned() {
        long[] load = new long[grid.ranks()];
        List<List<Item>> plans = new ArrayList<>();
        byFirstHolder.forEach(_ -> plans.add(new ArrayList<>()));
        for (List<Held> listed : byFirstHolder) {
            for (Held held : listed) {
                int rank = least(load, held.ranks());
                load[rank] += held.size();
                plans.get(rank).add(held.item());
            }
        }
        plans.forEach(plan -> plan.sort(Comparator.comparingInt(Item::entry)));
        return plans;
    }

    private static int least(long[] load, List<Integer> ranks) {
        int least = ranks.isEmpty() ? 0 : ranks.getFirst();
        int count = ranks.isEmpty() ? load.length : ranks.size();
        for (int i = 0; i < count; i++) {
            int rank = ranks.isEmpty() ? i : ranks.get(i);
            if (load[rank] < load[least]) {
                least = rank;
            }
        }
        return least;
    }
}
