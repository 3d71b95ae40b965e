package io.ucp.bind;

import io.ucp.bind.RenameSteps.Joined;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.ParameterFacts.SplitKind;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/// How a renamed parameter was cut over tensor-parallel ranks, as far as that is still so of it.
final class RenamedSplit {
    private RenamedSplit() {}

    /// @param before of the parameters on the left
    static Split of(List<Split> before, RenameSteps.Outcome outcome, RenamedTensor tensor) {
        if (new HashSet<>(before.stream().map(s -> List.of(s.kind(), s.dim())).toList()).size()
                > 1) {
            return Split.UNKNOWN;
        }
        Split split = before.getFirst();
        return switch (split.kind()) {
            case UNKNOWN -> Split.UNKNOWN;
            case REPLICATED, AVERAGED -> split;
            case SHARDED, FUSED ->
                    Optional.ofNullable(tensor.places().get(split.dim()))
                            .map(dim -> cut(split, dim, outcome, tensor))
                            .orElse(Split.UNKNOWN);
        };
    }

    private static Split cut(
            Split split, int dim, RenameSteps.Outcome outcome, RenamedTensor tensor) {
        boolean fused = split.kind() == SplitKind.FUSED;
        boolean along =
                outcome.joined().filter(j -> j.origin() == split.dim()).isPresent()
                        || (outcome.toMiddle().size() > 1 && outcome.joined().isEmpty());
        if (along && !outcome.cut()) {
            return fused
                    ? Split.UNKNOWN
                    : outcome.joined().map(j -> fused(j, dim, tensor)).orElse(Split.UNKNOWN);
        }
        if (!fused) {
            return new Split(SplitKind.SHARDED, dim, List.of(), List.of(), split.vocabulary());
        }
        // A part of a fused tensor is cut like any other; a fused one seen otherwise is not known.
        if (outcome.cut()) {
            return new Split(SplitKind.SHARDED, dim, List.of(), List.of(), false);
        }
        if (outcome.viewed() || outcome.toMiddle().size() > 1) {
            return Split.UNKNOWN;
        }
        List<List<Long>> shape = new ArrayList<>();
        if (!split.subShape().isEmpty()) {
            tensor.origins().forEach(origin -> shape.add(split.subShape().get(origin)));
        }
        return new Split(SplitKind.FUSED, dim, split.parts(), shape, false);
    }

    /// Parts that were cut each on its own and lie end to end now.
    private static Split fused(Joined joined, int dim, RenamedTensor tensor) {
        List<Long> parts = joined.parts();
        boolean twoEqual = parts.size() == 2 && parts.get(0).equals(parts.get(1));
        List<List<Long>> shape =
                twoEqual
                        ? List.of()
                        : IntStream.range(0, tensor.shape().rank())
                                .mapToObj(d -> d == dim ? parts : List.of(tensor.shape().dim(d)))
                                .toList();
        return new Split(SplitKind.FUSED, dim, parts, shape, false);
    }
}
