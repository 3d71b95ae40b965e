package io.ucp.bind;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.RefusedException;
import io.ucp.lang.ast.Spec;
import io.ucp.layout.Chain;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.Layout;
import io.ucp.layout.Widths;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;

/// How every parameter is cut over a target's tensor-parallel and expert ranks: by the source's
/// spec, by what a universal form keeps of one, or by the one bundled spec that fits every name and
/// shape.
final class TargetCuts {
    /// @param chain without stages that follow from names
    /// @param cut whether something says what tensor-parallel ranks hold
    /// @param rule that decided, where a spec did
    record Cut(
            Chain chain,
            List<Reading.Padding> padding,
            boolean cut,
            String localName,
            Optional<TargetRules.Ruled> rule) {}

    private final Mesh mesh;
    private final Optional<Spec> spec;
    private final Map<String, Cut> cuts;
    private final List<String> notes;
    private final Optional<List<Integer>> stages;

    private TargetCuts(
            Mesh mesh,
            Optional<Spec> spec,
            Map<String, Cut> cuts,
            List<String> notes,
            Optional<List<Integer>> stages) {
        this.mesh = mesh;
        this.spec = spec;
        this.cuts = cuts;
        this.notes = List.copyOf(notes);
        this.stages = stages;
    }

    /// @param named whether the user named the spec, where there is one: no other takes its place
    /// @param byName stages follow from the names
    /// @throws RefusedException where nothing says how a parameter is cut
    static TargetCuts of(
            TargetBinder.Source source,
            Optional<Spec> spec,
            boolean named,
            TargetDegrees degrees,
            TargetRequest request,
            Map<String, Long> settings,
            boolean byName) {
        TargetCuts own =
                spec.map(s -> ruled(s, source, degrees, request, settings, byName))
                        .orElseGet(() -> said(source, degrees));
        Set<String> open = own.open(source, degrees);
        if (open.isEmpty()) {
            return own;
        }
        Map<String, TargetCuts> fitting = new LinkedHashMap<>();
        for (String name : SpecLibrary.names()) {
            Spec bundled = SpecLibrary.find(name).orElseThrow();
            TargetRules rules = rules(bundled, source, degrees, request, settings, byName);
            if (rules.fits()) {
                fitting.put(
                        name, of(bundled, rules, degrees, Optional.of(own.replaced(name, open))));
            }
        }
        // A spec that was named for other names of the parameters says nothing here.
        boolean kept = named && spec.isPresent();
        if (fitting.size() != 1 || kept) {
            throw refusal(open, degrees, kept, fitting.keySet());
        }
        return fitting.values().iterator().next();
    }

    /// That the rules are a bundled spec's, and of which parameters the source said them itself.
    private String replaced(String bundled, Set<String> open) {
        List<String> said =
                cuts.entrySet().stream()
                        .filter(c -> c.getValue().cut && !open.contains(c.getKey()))
                        .map(Map.Entry::getKey)
                        .toList();
        return "cut over ranks by the bundled spec %s, which fits every name and shape%s"
                .formatted(
                        bundled,
                        said.isEmpty()
                                ? ""
                                : "; so are those that the source has rules for, %s"
                                        .formatted(Listing.of(said)));
    }

    private static TargetRules rules(
            Spec spec,
            TargetBinder.Source source,
            TargetDegrees degrees,
            TargetRequest request,
            Map<String, Long> settings,
            boolean byName) {
        return TargetRules.of(
                spec,
                degrees.mesh(Optional.of(spec)),
                source.parameters(),
                source.hints(),
                settings,
                request.stages(),
                request.virtual().orElse(1),
                byName);
    }

    private static TargetCuts ruled(
            Spec spec,
            TargetBinder.Source source,
            TargetDegrees degrees,
            TargetRequest request,
            Map<String, Long> settings,
            boolean byName) {
        return of(
                spec,
                rules(spec, source, degrees, request, settings, byName),
                degrees,
                Optional.empty());
    }

    private static TargetCuts of(
            Spec spec, TargetRules rules, TargetDegrees degrees, Optional<String> note) {
        Map<String, Cut> cuts = new LinkedHashMap<>();
        rules.read()
                .forEach(
                        (name, read) ->
                                cuts.put(
                                        name,
                                        new Cut(
                                                read.reading().chain(),
                                                read.reading().padding(),
                                                read.cut(),
                                                read.localName(),
                                                Optional.of(read.of()))));
        Optional<List<Integer>> stages = rules.stages();
        List<String> notes = new ArrayList<>(rules.notes());
        note.ifPresent(notes::add);
        return new TargetCuts(
                degrees.mesh(Optional.of(spec)), Optional.of(spec), cuts, notes, stages);
    }

    /// By what the source's own form keeps of how parameters were cut.
    private static TargetCuts said(TargetBinder.Source source, TargetDegrees degrees) {
        OptionalLong multiple = OptionalLong.empty();
        Long known = source.hints().numbers().get("vocab_multiple");
        if (known != null) {
            multiple = OptionalLong.of(known);
        }
        Map<String, Cut> cuts = new LinkedHashMap<>();
        for (ParameterFacts p : source.parameters()) {
            List<Step> steps = new ArrayList<>();
            if (p.split().experts().isPresent()) {
                steps.add(new Step("ep", Layout.Sharded.evenly(0)));
            } else {
                layout(p.split()).ifPresent(l -> steps.add(new Step("tp", l)));
            }
            cuts.put(
                    p.name(),
                    new Cut(
                            new Chain(steps),
                            padding(p, multiple.orElse(128), source, degrees),
                            !steps.isEmpty(),
                            p.name(),
                            Optional.empty()));
        }
        return new TargetCuts(
                degrees.mesh(Optional.empty()),
                Optional.empty(),
                cuts,
                List.of(),
                Optional.empty());
    }

    private static Optional<Layout> layout(Split split) {
        return switch (split.kind()) {
            case UNKNOWN -> Optional.empty();
            case REPLICATED -> Optional.of(new Layout.Replicated());
            case AVERAGED -> Optional.of(new Layout.Averaged());
            case SHARDED -> Optional.of(Layout.Sharded.evenly(split.dim()));
            case FUSED -> {
                List<Layout.Part> parts = new ArrayList<>();
                for (long extent : split.parts()) {
                    parts.add(Layout.Part.of("p" + parts.size(), extent, Widths.Rule.EVEN));
                }
                yield Optional.of(new Layout.Fused(split.dim(), parts));
            }
        };
    }

    /// The framework's padding, where that explains the rows that there are, or were before the
    /// source's form stripped them; else as many rows as there were.
    private static List<Reading.Padding> padding(
            ParameterFacts p, long multiple, TargetBinder.Source source, TargetDegrees degrees) {
        if (p.realShape().rank() == 0) {
            return List.of();
        }
        boolean even = source.foreign() && p.realShape().dim(0) % degrees.tp() == 0;
        if (even || (!p.split().vocabulary() && !p.padded())) {
            return List.of();
        }
        Long known = source.hints().numbers().get("padded_vocab");
        long rows = p.realShape().dim(0);
        long held = p.padded() || known == null ? p.shape().dim(0) : known;
        long was =
                source.mesh().stream()
                        .filter(a -> a.axis().equals("tp"))
                        .mapToInt(AxisDegree::degree)
                        .findFirst()
                        .orElse(1);
        Reading.Padding before = new Reading.Padding(0, OptionalLong.of(rows), multiple * was);
        return before.padded(rows) == held
                ? List.of(new Reading.Padding(0, OptionalLong.of(rows), multiple * degrees.tp()))
                : List.of(new Reading.Padding(0, OptionalLong.of(rows), held));
    }

    /// Parameters that nothing says enough of.
    private Set<String> open(TargetBinder.Source source, TargetDegrees degrees) {
        Set<String> open = new LinkedHashSet<>();
        boolean experts =
                degrees.experts()
                        && spec.isEmpty()
                        && cuts.values().stream().noneMatch(c -> c.chain.axes().contains("ep"));
        for (ParameterFacts p : source.parameters()) {
            Cut cut = cuts.get(p.name());
            if (cut == null || experts || (degrees.tp() > 1 && !cut.cut)) {
                open.add(p.name());
            }
        }
        return open;
    }

    /// @param fitting bundled specs that say it
    private static RefusedException refusal(
            Set<String> open, TargetDegrees degrees, boolean named, Set<String> fitting) {
        Set<String> templates = new LinkedHashSet<>();
        open.forEach(n -> templates.add(NameTemplate.of(n)));
        StringBuilder lines = new StringBuilder();
        if (named && !fitting.isEmpty()) {
            lines.append("name one that fits every name and shape, --target-spec ")
                    .append(String.join(" or ", fitting))
                    .append(", or ");
        }
        lines.append(
                "write a spec with these rules and name it, --spec FILE (`ucp infer` prints"
                        + " what is known, `ucp spec list` what is bundled):");
        templates.forEach(t -> lines.append("\n    param \"%s\" { .. over tp }".formatted(t)));
        return new RefusedException(
                "tp " + degrees.tp(),
                "%s says how ranks share %s"
                        .formatted(
                                named ? "no rule of the spec that is named" : "nothing",
                                Listing.of(open)),
                "a rule over tp for each parameter, in the checkpoint's metadata, in a bundled spec"
                        + " that fits, or in --spec",
                lines.toString());
    }

    Mesh mesh() {
        return mesh;
    }

    Optional<Spec> spec() {
        return spec;
    }

    /// Where the rules come from, if not from the source, and what they say of other ranks.
    List<String> notes() {
        return notes;
    }

    /// Members of each stage, where the rules say them for as many as the target has.
    Optional<List<Integer>> stages() {
        return stages;
    }

    Cut of(ParameterFacts facts) {
        return Objects.requireNonNull(cuts.get(facts.name()));
    }

    Map<String, Cut> byName() {
        return new TreeMap<>(cuts);
    }

    /// Whether some ranks may hold more than others.
    boolean anyUneven() {
        return cuts.values().stream()
                .flatMap(c -> c.chain.steps().stream())
                .anyMatch(
                        s ->
                                switch (s.layout()) {
                                    case Layout.Sharded(_, var w) -> w != Widths.Rule.EVEN;
                                    case Layout.Fused(_, var parts) ->
                                            parts.stream()
                                                    .anyMatch(p -> p.widths() != Widths.Rule.EVEN);
                                    case Layout.FusedAgain(_, var widths) ->
                                            widths.stream().anyMatch(w -> w != Widths.Rule.EVEN);
                                    case Layout.Replicated _,
                                            Layout.Averaged _,
                                            Layout.Placed _,
                                            Layout.Viewed _,
                                            Layout.Permuted _ ->
                                            false;
                                });
    }
}
