package io.ucp.bind;

import io.ucp.lang.ast.Clause;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeSet;

/// Families over the ranks of a target: experts in equal blocks, layers as DeepSpeed cuts a
/// pipeline.
final class TargetMembers implements MemberPlaces {
    private final Mesh mesh;
    private final Optional<List<Integer>> stages;
    private final Map<Key, TreeSet<Long>> members = new HashMap<>();

    /// Rules that capture under one name over one axis speak of one family.
    private record Key(String capture, String axis) {}

    /// @param stages members of each stage, where the user gives them
    TargetMembers(Mesh mesh, Optional<List<Integer>> stages) {
        this.mesh = mesh;
        this.stages = stages;
    }

    /// Takes note of a member by its global name.
    void note(Clause clause, RulePattern.Match match) {
        String member = match.captures().get(capture(clause));
        if (member != null && NameTemplate.isNumber(member)) {
            members.computeIfAbsent(key(clause), _ -> new TreeSet<>()).add(Long.parseLong(member));
        }
    }

    /// The capture that a clause places by, empty for other clauses.
    String capture(Clause clause) {
        return clause instanceof Clause.StageOf s
                ? s.capture().text()
                : clause instanceof Clause.Expert e ? e.capture().text() : "";
    }

    private Key key(Clause clause) {
        String axis =
                clause instanceof Clause.StageOf s
                        ? s.axis().text()
                        : clause instanceof Clause.Expert e ? e.axis().text() : "";
        return new Key(capture(clause), axis);
    }

    @Override
    public OptionalInt place(Clause clause, String member) {
        List<Integer> ends = ends(clause);
        int position = position(clause, member);
        for (int rank = 0; rank < ends.size(); rank++) {
            if (position < ends.get(rank)) {
                return OptionalInt.of(rank);
            }
        }
        throw new IllegalStateException("member " + member + " was not noted");
    }

    /// The number of a member in the files of its rank, where names count per rank.
    Optional<String> local(Clause clause, RulePattern.Match match) {
        boolean perRank =
                (clause instanceof Clause.Expert e && e.local())
                        || (clause instanceof Clause.StageOf s && s.renumbered());
        String member = match.captures().get(capture(clause));
        if (!perRank || member == null) {
            return Optional.empty();
        }
        int rank = place(clause, member).orElseThrow();
        int before = rank == 0 ? 0 : ends(clause).get(rank - 1);
        return Optional.of(Integer.toString(position(clause, member) - before));
    }

    private int position(Clause clause, String member) {
        return members.getOrDefault(key(clause), new TreeSet<>())
                .headSet(Long.parseLong(member))
                .size();
    }

    /// One past the last member of each rank.
    private List<Integer> ends(Clause clause) {
        int count = members.getOrDefault(key(clause), new TreeSet<>()).size();
        return switch (clause) {
            case Clause.Expert e -> experts(count, mesh.degree(e.axis().text()), e.axis().text());
            case Clause.StageOf s -> layers(count, mesh.degree(s.axis().text()));
            case Clause _ -> List.of();
        };
    }

    private static List<Integer> experts(int count, int ranks, String axis) {
        if (count % ranks != 0) {
            throw new ImpossibleLayoutException(
                    "%s %d over %d experts".formatted(axis, ranks, count),
                    "equally many experts on every rank: %s %s"
                            .formatted(axis, Divisors.of(count)));
        }
        List<Integer> ends = new ArrayList<>();
        for (int r = 1; r <= ranks; r++) {
            ends.add(count / ranks * r);
        }
        return ends;
    }

    private List<Integer> layers(int count, int ranks) {
        if (count < ranks) {
            throw new ImpossibleLayoutException(
                    "pp %d over %d layers".formatted(ranks, count),
                    "a layer or more for every stage: pp 1 to %d".formatted(count));
        }
        if (stages.isPresent()) {
            List<Integer> ends = new ArrayList<>();
            int sum = 0;
            for (int s : stages.get()) {
                sum += s;
                ends.add(sum);
            }
            if (ends.size() != ranks || sum != count) {
                throw new ImpossibleLayoutException(
                        "--stages %s, %d layers on %d stages"
                                .formatted(stages.get(), sum, ends.size()),
                        "%d stages, %d layers in all".formatted(ranks, count));
            }
            return ends;
        }
        return StageCut.balanced(Collections.nCopies(count, 1L), ranks).subList(1, ranks + 1);
    }
}
