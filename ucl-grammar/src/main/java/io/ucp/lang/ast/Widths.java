package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.List;

/// How many elements of a dimension each rank of an axis holds, in the order of the axis.
public sealed interface Widths {
    Widths EVEN = new Even();

    /// All the same; a remainder is an error.
    record Even() implements Widths {}

    /// `ceil(n / k)` each as far as they go, as `torch.chunk` does.
    record Ceil() implements Widths {}

    /// The first `n mod k` ranks hold one more than the others.
    record Balanced() implements Widths {}

    /// One number a rank.
    record Listed(List<Expr> widths) implements Widths {
        public Listed {
            widths = List.copyOf(widths);
        }
    }

    /// One list a part, for `shard each`.
    record ByPart(List<PartWidths> parts) implements Widths {
        public ByPart {
            parts = List.copyOf(parts);
        }
    }

    /// The widths of one part, one number a rank.
    record PartWidths(Name part, List<Expr> widths, Span span) {
        public PartWidths {
            widths = List.copyOf(widths);
        }
    }
}
