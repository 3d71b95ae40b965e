package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.List;
import java.util.Optional;

/// One thing that a rule says of its parameters. The clauses that cut (`shard`, `fuse`, `view`,
/// `expert`, `flatten`, `pad`) apply in the order written, each to what the one before leaves.
public sealed interface Clause {
    Span span();

    /// `unique`: exactly one rank holds it.
    record Unique(Span span) implements Clause {}

    /// `scalar`: one number, not a tensor of the parameter's shape (`step`). In `states` only.
    record Scalar(Span span) implements Clause {}

    /// `replicate over AXIS [at (first, last)] [take first]`: every rank of the axis, or only those
    /// at the positions, holds the same bytes; with `takeFirst` copies may differ and the first is
    /// the value.
    record Replicate(Name axis, List<Position> at, boolean takeFirst, Span span) implements Clause {
        public Replicate {
            at = List.copyOf(at);
        }

        public static Replicate over(String axis) {
            return new Replicate(Name.of(axis), List.of(), false, Span.NONE);
        }
    }

    /// `average over AXIS`: replicas differ by design; the value is their mean.
    record Average(Name axis, Span span) implements Clause {
        public static Average over(String axis) {
            return new Average(Name.of(axis), Span.NONE);
        }
    }

    /// `shard dim D over AXIS [widths [..] | ceil | balanced]`: consecutive blocks of a dimension.
    /// Its widths are never [Widths.ByPart].
    record Shard(Dimension dim, Name axis, Widths widths, Span span) implements Clause {
        public Shard {
            if (widths instanceof Widths.ByPart) {
                throw new IllegalArgumentException("widths by part; expected one list of widths");
            }
        }

        public static Shard of(int dim, String axis) {
            return new Shard(Dimension.of(dim), Name.of(axis), Widths.EVEN, Span.NONE);
        }
    }

    /// `fuse dim D (q: n1, k: n2, ..)`: the dimension holds named parts laid end to end, all equal
    /// where no extent is given. A [ShardEach] follows.
    record Fuse(Dimension dim, List<Part> parts, Span span) implements Clause {
        public Fuse {
            parts = List.copyOf(parts);
        }
    }

    /// `shard each over AXIS [widths (q: [..], ..) | ceil | balanced]`: every part of the [Fuse]
    /// before is split on its own. Its widths are never [Widths.Listed].
    record ShardEach(Name axis, Widths widths, Span span) implements Clause {
        public ShardEach {
            if (widths instanceof Widths.Listed) {
                throw new IllegalArgumentException(
                        "one list of widths; expected a list for each part");
            }
        }

        public static ShardEach over(String axis) {
            return new ShardEach(Name.of(axis), Widths.EVEN, Span.NONE);
        }
    }

    /// `view [a, b, ..]`: what follows sees the tensor under this shape.
    record View(Shape shape, Span span) implements Clause {}

    /// `expert E over AXIS [local]`: the family member that the capture names is held by one rank
    /// of the axis, in blocks; `local` where the names are numbered per rank on disk.
    record Expert(Name capture, Name axis, boolean local, Span span) implements Clause {}

    /// `stage L over AXIS [uniform | stages [..]] [virtual K] [renumbered]`: the sorted set of
    /// captured values is cut into stages.
    ///
    /// @param counts members of each stage in order (of each chunk, `virtual * degree` of them,
    ///   when interleaved); absent for equal counts
    /// @param virtual chunks per stage, interleaved; absent for one
    /// @param renumbered the names on disk count from 0 in every stage
    record StageOf(
            Name capture,
            Name axis,
            Optional<List<Expr>> counts,
            Optional<Expr> virtual,
            boolean renumbered,
            Span span)
            implements Clause {
        public StageOf {
            counts = counts.map(List::copyOf);
        }

        public static StageOf of(String capture, String axis) {
            return new StageOf(
                    Name.of(capture),
                    Name.of(axis),
                    Optional.empty(),
                    Optional.empty(),
                    false,
                    Span.NONE);
        }
    }

    /// `stage first over AXIS`, `stage last over AXIS`, `stage 2 over AXIS`.
    record StageAt(Position position, Name axis, Span span) implements Clause {}

    /// `stage with NAME`: on the stage that holds the named parameter.
    record StageWith(NamePattern.Glob name, Span span) implements Clause {}

    /// `tied to NAME`: another name of the named parameter; kept once, written to all.
    record TiedTo(NamePattern.Glob name, Span span) implements Clause {}

    /// `flatten over AXIS`: all parameters of an optimizer group end to end, padded to a multiple
    /// of twice the degree, cut in equal parts; with `each` every parameter on its own, cut in
    /// `ceil(n / degree)`.
    record Flatten(Name axis, boolean each, Span span) implements Clause {
        public static Flatten over(String axis) {
            return new Flatten(Name.of(axis), false, Span.NONE);
        }

        public static Flatten eachOver(String axis) {
            return new Flatten(Name.of(axis), true, Span.NONE);
        }
    }

    /// `pad dim D [from E] to multiple N`: rows past the real extent.
    ///
    /// @param extent the real extent; absent for that of the declared shape
    record Pad(Dimension dim, Optional<Expr> extent, Expr multiple, Span span) implements Clause {}

    /// `frozen`: has the state `weight` and no optimizer state.
    record Frozen(Span span) implements Clause {}

    /// `with states NAME`: has the states of the named block.
    record WithStates(Name states, Span span) implements Clause {}

    /// `cast STATE to DTYPE`: the dtype the state has in the target, for these parameters.
    record Cast(Name state, Name dtype, Span span) implements Clause {}
}
