package io.ucp.bind;

import io.ucp.formats.LayoutHints.Kind;
import io.ucp.formats.LayoutHints.Pattern;
import io.ucp.formats.ParameterFacts;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.NamePattern.Piece;
import io.ucp.lang.ast.ParamRule;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.Layout;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// The patterns of `universal_checkpoint_info` for a target. Those of the source hold at every
/// degree, but a job of one tensor-parallel rank writes none that speak of them, and
/// Megatron-DeepSpeed's lists then lack the keys: these come from the spec's rules, in their order.
/// Source: Megatron-DeepSpeed `model/gpt_model.py`, `UniversalCheckpointInfo`.
final class TargetPatterns {
    private static final Set<Kind> OF_SEVERAL_RANKS =
            Set.of(Kind.REPLICATED_OVER_TP, Kind.AVERAGED_OVER_TP, Kind.ROW_PARALLEL);

    private TargetPatterns() {}

    static List<Pattern> of(TargetBinder.Source source, TargetCuts cuts, TargetDegrees degrees) {
        List<Pattern> own = source.hints().patterns();
        if (degrees.tp() == 1) {
            return own.stream().filter(p -> !OF_SEVERAL_RANKS.contains(p.kind())).toList();
        }
        List<Pattern> all = new ArrayList<>();
        boolean told = own.stream().anyMatch(p -> OF_SEVERAL_RANKS.contains(p.kind()));
        own.stream().map(p -> resized(p, degrees.tp())).forEach(all::add);
        if (!told) {
            derived(source, cuts).stream().filter(p -> isNew(p, own)).forEach(all::add);
        }
        all.sort(java.util.Comparator.comparing(Pattern::kind));
        return List.copyOf(all);
    }

    /// Widths are of the source's ranks; the target's are even.
    private static Pattern resized(Pattern p, int tp) {
        boolean same = p.widths().stream().allMatch(w -> w.size() == tp);
        if (same) {
            return p;
        }
        List<List<Long>> even = new ArrayList<>();
        for (long extent : p.subShape().get(p.dim())) {
            even.add(java.util.Collections.nCopies(tp, extent / tp));
        }
        return new Pattern(p.kind(), p.regex(), p.dim(), p.subShape(), even);
    }

    /// Fused parameters are listed at every degree: the source's word on them stands.
    private static boolean isNew(Pattern pattern, List<Pattern> own) {
        return OF_SEVERAL_RANKS.contains(pattern.kind())
                || own.stream()
                        .noneMatch(
                                o ->
                                        o.kind() == Kind.TWO_SUB_PARAMS
                                                || o.kind() == Kind.SUB_PARAMS);
    }

    private static List<Pattern> derived(TargetBinder.Source source, TargetCuts cuts) {
        if (cuts.spec().isEmpty()) {
            return named(source, cuts);
        }
        List<Pattern> patterns = new ArrayList<>();
        for (ParamRule rule : cuts.spec().get().params()) {
            for (NamePattern written : rule.patterns()) {
                List<ParameterFacts> matched =
                        source.parameters().stream()
                                .filter(p -> chose(cuts.of(p), written))
                                .toList();
                if (!matched.isEmpty()) {
                    ParameterFacts first = matched.getFirst();
                    pattern(cuts.of(first), first.shape(), regex(written, matched, cuts))
                            .ifPresent(patterns::add);
                }
            }
        }
        return patterns;
    }

    /// Of parameters that no rule names: those that differ in numbers alone are one pattern where
    /// all of them are cut alike.
    private static List<Pattern> named(TargetBinder.Source source, TargetCuts cuts) {
        Map<String, List<ParameterFacts>> templates = new LinkedHashMap<>();
        for (ParameterFacts p : source.parameters()) {
            String regex = Pattern.literally(p.name()).replaceAll("\\d+", "\\\\d+");
            templates.computeIfAbsent(regex, _ -> new ArrayList<>()).add(p);
        }
        List<Pattern> patterns = new ArrayList<>();
        templates.forEach(
                (regex, members) -> {
                    List<Optional<Pattern>> each =
                            members.stream()
                                    .map(p -> pattern(cuts.of(p), p.shape(), regex))
                                    .distinct()
                                    .toList();
                    if (each.size() == 1) {
                        each.getFirst().ifPresent(patterns::add);
                        return;
                    }
                    for (ParameterFacts p : members) {
                        pattern(cuts.of(p), p.shape(), Pattern.literally(p.name()))
                                .ifPresent(patterns::add);
                    }
                });
        return patterns;
    }

    private static boolean chose(TargetCuts.Cut cut, NamePattern written) {
        return cut.rule().filter(r -> r.chosen().pattern().pattern().equals(written)).isPresent();
    }

    private static Optional<Pattern> pattern(TargetCuts.Cut cut, Shape shape, String regex) {
        if (cut.chain().steps().isEmpty()) {
            return Optional.of(
                    new Pattern(Kind.REPLICATED_OVER_TP, regex, -1, List.of(), List.of()));
        }
        for (Step step : cut.chain().steps()) {
            if (!step.axis().equals("tp")) {
                continue;
            }
            return switch (step.layout()) {
                case Layout.Replicated() ->
                        Optional.of(
                                new Pattern(
                                        Kind.REPLICATED_OVER_TP, regex, -1, List.of(), List.of()));
                case Layout.Averaged() ->
                        Optional.of(
                                new Pattern(
                                        Kind.AVERAGED_OVER_TP, regex, -1, List.of(), List.of()));
                case Layout.Sharded(int dim, _) when dim == 1 ->
                        Optional.of(new Pattern(Kind.ROW_PARALLEL, regex, 1, List.of(), List.of()));
                case Layout.Fused f -> Optional.of(fused(f, shape, regex));
                case Layout.Sharded _,
                        Layout.FusedAgain _,
                        Layout.Placed _,
                        Layout.Viewed _,
                        Layout.Permuted _ ->
                        Optional.empty();
            };
        }
        return Optional.empty();
    }

    private static Pattern fused(Layout.Fused fused, Shape shape, String regex) {
        List<Long> parts = fused.extents(shape.dim(fused.dim()));
        if (parts.size() == 2 && parts.get(0).equals(parts.get(1)) && fused.dim() == 0) {
            return new Pattern(Kind.TWO_SUB_PARAMS, regex, 0, List.of(), List.of());
        }
        List<List<Long>> subShape = new ArrayList<>();
        for (int d = 0; d < shape.rank(); d++) {
            subShape.add(d == fused.dim() ? parts : List.of(shape.dim(d)));
        }
        return new Pattern(Kind.SUB_PARAMS, regex, fused.dim(), subShape, List.of());
    }

    /// A pattern as Python's `re.match` takes it, dots as they are, as Megatron-DeepSpeed writes
    /// them.
    private static String regex(
            NamePattern written, List<ParameterFacts> matched, TargetCuts cuts) {
        return switch (written) {
            case NamePattern.Regex r ->
                    r.expression()
                            .replaceAll("\\.\\*$", "")
                            .replaceAll("\\(\\?<l>\\\\d\\+\\)", "\\\\d+");
            case NamePattern.Glob g -> {
                StringBuilder out = new StringBuilder();
                for (Piece piece : g.pieces()) {
                    out.append(
                            switch (piece) {
                                case Piece.Text(String text) ->
                                        text.replaceAll("[\\\\\\[\\](){}*+?^$|]", "\\\\$0");
                                case Piece.Any(boolean deep) -> deep ? ".*" : "[^.]*";
                                case Piece.Counted _ -> "\\d+";
                                case Piece.Capture(String name, boolean deep) ->
                                        isNumber(name, matched, cuts)
                                                ? "\\d+"
                                                : deep ? ".+" : "[^.]+";
                            });
                }
                yield out.toString();
            }
        };
    }

    private static boolean isNumber(String capture, List<ParameterFacts> matched, TargetCuts cuts) {
        return matched.stream()
                .map(p -> cuts.of(p).rule().orElseThrow().chosen().match().captures())
                .map((Map<String, String> c) -> c.getOrDefault(capture, ""))
                .allMatch(NameTemplate::isNumber);
    }
}
