package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.List;
import java.util.Optional;

/// What happens to the tensor on the way from the left names of a [RenameRule] to the right ones;
/// the way back undoes the steps in reverse order.
public sealed interface RenameStep {
    Span span();

    /// See the tensor under this shape; at the end the dimensions are folded back.
    record View(Shape shape, Span span) implements RenameStep {}

    /// One tensor becomes several, one for each name on the right.
    record Split(Dimension dim, List<Part> parts, Span span) implements RenameStep {
        public Split {
            parts = List.copyOf(parts);
        }
    }

    /// Several tensors, one for each name on the left, become one.
    record Join(Dimension dim, List<Part> parts, Span span) implements RenameStep {
        public Join {
            parts = List.copyOf(parts);
        }
    }

    /// The tensors of all values of a capture, of `0` to one less than `count`, become one; its
    /// first dimension counts them. Only the name on the left has that capture.
    record Stack(Name capture, Expr count, Span span) implements RenameStep {}

    /// Each tensor becomes `count`, one for every position along its first dimension, which they
    /// lack. Only the names on the right have the capture that numbers them.
    record Unstack(Name capture, Expr count, Span span) implements RenameStep {}

    /// Swap two dimensions; absent for the two of a matrix.
    record Transpose(Optional<Swap> dims, Span span) implements RenameStep {}

    record Swap(Dimension first, Dimension second) {}

    /// Dimension `i` of the result is dimension `order[i]` of what was there, as in
    /// `torch.permute`.
    record Permute(List<Dimension> order, Span span) implements RenameStep {
        public Permute {
            order = List.copyOf(order);
        }
    }

    /// `for q, k { steps }`: steps for some of the parts only, after a [Split] or before a [Join].
    record ForParts(List<Name> parts, List<RenameStep> steps, Span span) implements RenameStep {
        public ForParts {
            parts = List.copyOf(parts);
            steps = List.copyOf(steps);
        }
    }
}
