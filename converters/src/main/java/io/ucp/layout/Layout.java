package io.ucp.layout;

import io.ucp.tensor.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// One step of how a tensor is laid out along one axis of the mesh: what each rank of the axis holds of
/// what the step before leaves.
public sealed interface Layout {
    /// Every rank holds all of it.
    record Replicated() implements Layout {}

    /// Every rank holds all of it, each its own version; the value is their mean.
    record Averaged() implements Layout {}

    /// Only some ranks hold it, each all of it: a stage of a pipeline, an expert's rank, the one rank of
    /// `unique`, the first and the last of a tied embedding.
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

    /// The dimension holds named parts laid end to end; each is split on its own, and a rank holds its
    /// pieces of them end to end.
    record Fused(int dim, List<Part> parts) implements Layout {
        public Fused {
            parts = List.copyOf(parts);
        }
    }

    /// A named part of a fused dimension.
    record Part(String name, long extent, Widths widths) {}

    /// Later steps see the tensor under another shape of as many elements. Cuts nothing.
    record Viewed(Shape shape) implements Layout {}

    /// Later steps see dimension `order[i]` as dimension `i`, as `torch.permute`; the local order follows.
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
            case Placed(var indices) -> indices.contains(index) ? Optional.of(held) : Optional.empty();
            case Sharded(int dim, var widths) ->
                    Optional.of(
                            held.select(
                                    dim, List.of(widths.stretch(held.extent(dim), degree, index))));
            case Fused fused -> Optional.of(held.select(fused.dim, stretches(fused, held, index, degree)));
            case Viewed(var shape) -> Optional.of(held.viewed(shape));
            case Permuted(var order) -> Optional.of(held.permuted(order));
        };
    }

    private static List<Stretch> stretches(Fused fused, Region held, int index, int degree) {
        long sum = fused.parts.stream().mapToLong(Part::extent).sum();
        if (sum != held.extent(fused.dim)) {
            throw new ImpossibleLayoutException(
                    "parts of %d elements".formatted(sum),
                    "the %d of dimension %d".formatted(held.extent(fused.dim), fused.dim));
        }
        List<Stretch> mine = new ArrayList<>();
        long at = 0;
        for (Part part : fused.parts) {
            Stretch s = part.widths.stretch(part.extent, degree, index);
            mine.add(new Stretch(at + s.start(), s.extent()));
            at += part.extent;
        }
        return mine;
    }
}
