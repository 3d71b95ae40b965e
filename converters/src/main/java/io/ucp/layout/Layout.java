package io.ucp.layout;

import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// One step of how a tensor is laid out along one axis of the mesh: what each rank of the axis
/// holds of what the step before leaves.
public sealed interface Layout {
    /// Every rank holds all of it.
    record Replicated() implements Layout {}

    /// Every rank holds all of it, each its own version; the value is their mean.
    record Averaged() implements Layout {}

    /// Only some ranks hold it, each all of it: a stage of a pipeline, an expert's rank, the one
    /// rank of `unique`, the first and the last of a tied embedding.
    ///
    /// @param indices along the axis
    record Placed(Set<Integer> indices) implements Layout {
        public Placed {
            indices = Set.copyOf(indices);
        }

        public static Placed at(int index) {
            return new Placed(Set.of(index));
        }
    }

    /// Consecutive blocks of a dimension.
    record Sharded(int dim, Widths widths) implements Layout {
        public static Sharded evenly(int dim) {
            return new Sharded(dim, Widths.Rule.EVEN);
        }
    }

    /// The dimension holds named parts laid end to end; each is split on its own, and a rank holds
    /// its pieces of them end to end.
    record Fused(int dim, List<Part> parts) implements Layout {
        public Fused {
            parts = List.copyOf(parts);
        }

        /// Of the parts, where the dimension has `whole` elements.
        ///
        /// @throws ImpossibleLayoutException where they are not its parts
        public List<Long> extents(long whole) {
            boolean shared = parts.stream().anyMatch(p -> p.extent.isEmpty());
            if (shared && whole % parts.size() != 0) {
                throw new ImpossibleLayoutException(
                        "%d elements of dimension %d".formatted(whole, dim),
                        "%d equal parts".formatted(parts.size()));
            }
            List<Long> extents =
                    parts.stream()
                            .map(p -> shared ? whole / parts.size() : p.extent.getAsLong())
                            .toList();
            long sum = Stretch.sum(extents);
            if (sum != whole || extents.stream().anyMatch(e -> e < 0)) {
                throw new ImpossibleLayoutException(
                        "parts %s, %d in all".formatted(extents, sum),
                        "parts of 0 or more that are the %d of dimension %d".formatted(whole, dim));
            }
            return extents;
        }
    }

    /// The parts of a dimension that a step before split, as they are on each rank, are each split
    /// once more.
    ///
    /// @param widths of each part
    record FusedAgain(int dim, List<Widths> widths) implements Layout {
        public FusedAgain {
            widths = List.copyOf(widths);
        }
    }

    /// A named part of a fused dimension.
    ///
    /// @param extent elements; absent where the parts share the dimension equally
    record Part(String name, OptionalLong extent, Widths widths) {
        public static Part of(String name, long extent, Widths widths) {
            return new Part(name, OptionalLong.of(extent), widths);
        }
    }

    /// Later steps see the tensor under another shape of as many elements. Cuts nothing.
    record Viewed(Shape shape) implements Layout {}

    /// Later steps see dimension `order[i]` as dimension `i`, as `torch.permute`; the local order
    /// follows.
    record Permuted(List<Integer> order) implements Layout {
        public Permuted {
            order = List.copyOf(order);
        }
    }

    /// What the rank at `index` of `degree` holds of `held`; empty where it holds nothing.
    ///
    /// @throws ImpossibleLayoutException where `held` cannot be laid out so
    default Optional<Region> of(Region held, int index, int degree) {
        return switch (this) {
            case Replicated(), Averaged() -> Optional.of(held);
            case Placed(var indices) ->
                    indices.contains(index) ? Optional.of(held) : Optional.empty();
            case Sharded(int dim, var widths) ->
                    Optional.of(
                            held.select(
                                    dim, List.of(widths.stretch(held.extent(dim), degree, index))));
            case Fused fused ->
                    Optional.of(
                            held.selectEach(
                                    fused.dim,
                                    stretches(
                                            fused.extents(held.extent(fused.dim)),
                                            fused.parts.stream().map(Part::widths).toList(),
                                            index,
                                            degree)));
            case FusedAgain(int dim, var widths) ->
                    Optional.of(
                            held.selectEach(
                                    dim, stretches(held.parts(dim), widths, index, degree)));
            case Viewed(var shape) -> Optional.of(held.viewed(shape));
            case Permuted(var order) -> Optional.of(held.permuted(order));
        };
    }

    private static List<Stretch> stretches(
            List<Long> extents, List<Widths> widths, int index, int degree) {
        List<Stretch> mine = new ArrayList<>();
        long at = 0;
        for (int p = 0; p < extents.size(); p++) {
            Stretch s = widths.get(p).stretch(extents.get(p), degree, index);
            mine.add(new Stretch(at + s.start(), s.extent()));
            at += extents.get(p);
        }
        return mine;
    }
}
