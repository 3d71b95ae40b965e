package io.ucp.bind;

import io.ucp.formats.LayoutHints;
import io.ucp.formats.LayoutHints.Kind;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Dimension;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.Part;
import io.ucp.lang.ast.Widths;
import io.ucp.lang.diagnostic.Span;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.IntStream;

/// The clauses over `tp` that a pattern of `universal_checkpoint_info` stands for.
final class InferredLayout {
    private InferredLayout() {}

    /// @param pattern that decides, absent where none matches
    /// @param local shapes of the shards, by tensor-parallel rank
    /// @param described the checkpoint describes its layout: what no pattern matches is cut in dim
    ///   0
    static List<Clause> of(
            Optional<LayoutHints.Pattern> pattern,
            List<io.ucp.tensor.Shape> local,
            boolean described) {
        if (pattern.isEmpty()) {
            boolean silent = local.size() < 2 || !described;
            return silent
                    ? List.of()
                    : local.getFirst().rank() == 0
                            ? List.of(Clause.Replicate.over("tp"))
                            : List.of(shard(0, local));
        }
        return switch (pattern.get().kind()) {
            case REPLICATED_OVER_TP -> List.of(Clause.Replicate.over("tp"));
            case AVERAGED_OVER_TP -> List.of(Clause.Average.over("tp"));
            case TWO_SUB_PARAMS -> fused(0, List.of(-1L, -1L), List.of());
            case SUB_PARAMS -> subParams(pattern.get(), local);
            case ROW_PARALLEL -> List.of(shard(pattern.get().dim(), local));
            case VOCABULARY, REPLICATED_OVER_PP -> List.of();
        };
    }

    /// What the lists of upstream call a kind.
    static String list(Kind kind) {
        return switch (kind) {
            case REPLICATED_OVER_TP -> "tp_replicated_parameter_patterns";
            case AVERAGED_OVER_TP -> "parameter_to_average_patterns";
            case TWO_SUB_PARAMS -> "parameter_with_2_sub_params_cat_dim_0";
            case SUB_PARAMS -> "parameter_with_sub_params";
            case ROW_PARALLEL -> "parameter_with_row_parallelism_patterns";
            case VOCABULARY -> "vocabulary_parameter_patterns";
            case REPLICATED_OVER_PP -> "pipeline_replicated_parameter_patterns";
        };
    }

    private static Clause shard(int dim, List<io.ucp.tensor.Shape> local) {
        List<Long> widths =
                local.stream().filter(s -> dim < s.rank()).map(s -> s.dim(dim)).toList();
        boolean even = new HashSet<>(widths).size() < 2;
        return new Clause.Shard(
                Dimension.of(dim), Name.of("tp"), even ? Widths.EVEN : listed(widths), Span.NONE);
    }

    private static Widths listed(List<Long> widths) {
        return new Widths.Listed(widths.stream().map(Expr::of).toList());
    }

    private static List<Clause> subParams(
            LayoutHints.Pattern pattern, List<io.ucp.tensor.Shape> local) {
        List<Long> extents =
                pattern.dim() < pattern.subShape().size()
                        ? pattern.subShape().get(pattern.dim())
                        : List.of();
        return extents.size() < 2
                ? List.of(shard(pattern.dim(), local))
                : fused(pattern.dim(), extents, pattern.widths());
    }

    /// @param extents of the parts, -1 where they are equal
    /// @param widths a list a part, or none
    private static List<Clause> fused(int dim, List<Long> extents, List<List<Long>> widths) {
        boolean known = extents.stream().allMatch(e -> e >= 0);
        List<Name> names =
                IntStream.range(0, extents.size()).mapToObj(i -> Name.of("p" + i)).toList();
        List<Part> parts = new ArrayList<>();
        for (int i = 0; i < extents.size(); i++) {
            Optional<Expr> extent = known ? Optional.of(Expr.of(extents.get(i))) : Optional.empty();
            parts.add(new Part(names.get(i), extent, Span.NONE));
        }
        Widths each = Widths.EVEN;
        if (widths.size() == extents.size() && known) {
            List<Widths.PartWidths> lists = new ArrayList<>();
            for (int i = 0; i < extents.size(); i++) {
                lists.add(
                        new Widths.PartWidths(
                                names.get(i),
                                widths.get(i).stream().map(Expr::of).toList(),
                                Span.NONE));
            }
            each = new Widths.ByPart(lists);
        }
        return List.of(
                new Clause.Fuse(Dimension.of(dim), parts, Span.NONE),
                new Clause.ShardEach(Name.of("tp"), each, Span.NONE));
    }

    /// `pad dim 0 from vocab to multiple N`, where N is the framework's where that explains the
    /// rows.
    ///
    /// @param rows real ones
    /// @param padded all
    /// @param multiple the framework's, for each tensor-parallel rank
    static Clause pad(long rows, long padded, OptionalLong multiple, int tp) {
        long each = multiple.orElse(128);
        boolean explained = each > 0 && Math.ceilDiv(rows, each * tp) * each * tp == padded;
        Expr n = explained ? Expr.of(each).times(Expr.of("tp")) : Expr.of(padded);
        return new Clause.Pad(Dimension.of(0), Optional.of(Expr.of("vocab")), n, Span.NONE);
    }
}
