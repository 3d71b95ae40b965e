package io.ucp.bind;

import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.NamePattern.Piece;
import io.ucp.lang.ast.Position;
import io.ucp.lang.diagnostic.Span;
import io.ucp.layout.Widths;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// Where names are found on pipeline stages and expert ranks, as clauses.
final class InferredStages {
    private final Mesh mesh;
    private final int pp;
    private final Map<String, List<Holding>> held;
    private final Map<String, TreeSet<Long>> layersByTemplate = new HashMap<>();
    private final Set<String> experts = new HashSet<>();
    private final Optional<Clause> layered;

    InferredStages(Mesh mesh, Map<String, List<Holding>> held) {
        this.mesh = mesh;
        this.pp = mesh.degree("pp");
        this.held = held;
        for (String name : held.keySet()) {
            List<Long> numbers = NameTemplate.numbers(name);
            if (!numbers.isEmpty()) {
                layersByTemplate
                        .computeIfAbsent(template(name), _ -> new TreeSet<>())
                        .add(numbers.getFirst());
            }
        }
        held.forEach(
                (name, holdings) -> {
                    if (expertPart(name) >= 0
                            && holdings.stream()
                                    .anyMatch(h -> h.group() >= 0 && saysExpertRank(h))) {
                        experts.add(template(name));
                    }
                });
        this.layered = layered();
    }

    /// What a set of rules over `pp` comes to.
    ///
    /// @param regex with the layer number captured where the clause needs it
    record Placement(String regex, Optional<Clause> clause) {}

    private static boolean saysExpertRank(Holding h) {
        return h.at().indices().containsKey("ep");
    }

    /// Of a family that is held over ranks of `ep`, and numbered on each.
    boolean isExpert(String name) {
        return experts.contains(template(name));
    }

    /// The path part that numbers experts: the one behind a part that ends in `experts`.
    private static int expertPart(String name) {
        String[] parts = name.split("\\.", -1);
        for (int i = 1; i < parts.length; i++) {
            if (NameTemplate.isNumber(parts[i]) && parts[i - 1].endsWith("experts")) {
                return i;
            }
        }
        return -1;
    }

    /// [NameTemplate], the expert's number always `{e}`.
    String template(String name) {
        String[] parts = name.split("\\.", -1);
        int expert = expertPart(name);
        List<String> captures = new ArrayList<>(List.of("l", "n", "n2", "n3", "n4"));
        for (int i = 0; i < parts.length; i++) {
            if (i == expert) {
                parts[i] = "{e}";
            } else if (NameTemplate.isNumber(parts[i]) && !captures.isEmpty()) {
                parts[i] = "{" + captures.removeFirst() + "}";
            }
        }
        return String.join(".", parts);
    }

    /// A template as a pattern; what was no number stays text.
    static NamePattern glob(String name, String template) {
        String[] was = name.split("\\.", -1);
        String[] parts = template.split("\\.", -1);
        List<Piece> pieces = new ArrayList<>();
        for (int i = 0; i < parts.length; i++) {
            if (i > 0) {
                pieces.add(new Piece.Text("."));
            }
            if (!parts[i].equals(was[i])) {
                pieces.add(new Piece.Capture(parts[i].substring(1, parts[i].length() - 1), false));
            } else if (!parts[i].isEmpty()) {
                pieces.add(new Piece.Text(parts[i]));
            }
        }
        return NamePattern.Glob.of(pieces.toArray(Piece[]::new));
    }

    /// The stages that hold a name.
    Set<Integer> of(String name) {
        Set<Integer> found = new TreeSet<>();
        held.getOrDefault(name, List.of())
                .forEach(h -> mesh.index("pp", h.at()).ifPresent(found::add));
        return found;
    }

    private boolean isLayer(String name) {
        return layersByTemplate.getOrDefault(template(name), new TreeSet<>()).size() > 1;
    }

    /// `stage l over pp`, with the counts where they are not the usual ones; nothing where layers
    /// do not follow each other.
    private Optional<Clause> layered() {
        Map<Integer, TreeSet<Long>> byStage = new TreeMap<>();
        for (String name : held.keySet()) {
            Set<Integer> on = of(name);
            if (isLayer(name) && on.size() == 1) {
                byStage.computeIfAbsent(on.iterator().next(), _ -> new TreeSet<>())
                        .add(NameTemplate.numbers(name).getFirst());
            }
        }
        List<Long> counts = new ArrayList<>();
        long last = -1;
        for (int stage = 0; stage < pp; stage++) {
            TreeSet<Long> layers = byStage.getOrDefault(stage, new TreeSet<>());
            if (!layers.isEmpty() && layers.first() <= last) {
                return Optional.empty();
            }
            last = layers.isEmpty() ? last : layers.last();
            counts.add((long) layers.size());
        }
        long total = counts.stream().mapToLong(Long::longValue).sum();
        boolean usual =
                Arrays.stream(Widths.Rule.BALANCED.of(total, pp)).boxed().toList().equals(counts);
        return Optional.of(
                new Clause.StageOf(
                        Name.of("l"),
                        Name.of("pp"),
                        usual
                                ? Optional.empty()
                                : Optional.of(counts.stream().map(Expr::of).toList()),
                        Optional.empty(),
                        false,
                        Span.NONE));
    }

    /// For names of one template.
    Optional<Clause> ofTemplate(List<String> names, List<Clause> clauses) {
        if (pp == 1 || speaksOfStages(clauses)) {
            return Optional.empty();
        }
        return isLayer(names.getFirst()) && names.size() > 1 ? layered : fixed(names);
    }

    /// For all names of one regular expression; nothing where no one clause places them.
    Optional<Placement> placement(List<String> names, List<Clause> clauses, String regex) {
        if (names.stream().anyMatch(this::isExpert)) {
            return Optional.empty();
        }
        if (pp == 1 || speaksOfStages(clauses)) {
            return Optional.of(new Placement(regex, Optional.empty()));
        }
        Optional<Clause> fixed = fixed(names);
        if (names.stream().noneMatch(this::isLayer)) {
            return fixed.map(c -> new Placement(regex, Optional.of(c)));
        }
        int digits = regex.indexOf("\\d+");
        boolean captured =
                names.stream().allMatch(this::isLayer)
                        && layered.isPresent()
                        && digits >= 0
                        && !regex.contains("|");
        return captured
                ? Optional.of(
                        new Placement(
                                regex.substring(0, digits)
                                        + "(?<l>\\d+)"
                                        + regex.substring(digits + 3),
                                layered))
                : Optional.empty();
    }

    private static boolean speaksOfStages(List<Clause> clauses) {
        return clauses.stream()
                .anyMatch(c -> c instanceof Clause.Replicate r && r.axis().text().equals("pp"));
    }

    private Optional<Clause> fixed(List<String> names) {
        Set<Integer> all = new TreeSet<>();
        names.forEach(n -> all.addAll(of(n)));
        if (all.size() != 1) {
            return Optional.empty();
        }
        int stage = all.iterator().next();
        Position position =
                stage == 0
                        ? Position.FIRST
                        : stage == pp - 1 ? Position.LAST : new Position.Nth(stage);
        return Optional.of(new Clause.StageAt(position, Name.of("pp"), Span.NONE));
    }
}
