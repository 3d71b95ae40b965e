package io.ucp.bind;

import io.ucp.lang.ast.Clause;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeSet;

/// Families over the ranks of a target: experts in equal blocks, layers as the user says, else as
/// the rule does where its counts are of as many stages, else as DeepSpeed cuts a pipeline.
final class TargetMembers implements MemberPlaces {
    private final Mesh mesh;
    private final Numbers numbers;
    private final Optional<List<Integer>> stages;
    private final int virtual;
    private final Set<String> notes = new LinkedHashSet<>();
    private final Map<Key, TreeSet<Long>> members = new HashMap<>();
    private final Map<Clause, List<Integer>> ends = new HashMap<>();
    private final Problems problems;

    /// Rules that capture under one name over one axis speak of one family.
    private record Key(String capture, String axis) {}

    /// @param stages members of each stage (of each chunk, the first chunk of every stage first),
    ///   where the user gives them
    /// @param virtual chunks of each stage, interleaved
    TargetMembers(
            Mesh mesh,
            Numbers numbers,
            Optional<List<Integer>> stages,
            int virtual,
            Problems problems) {
        this.problems = problems;
        this.mesh = mesh;
        this.numbers = numbers;
        this.stages = stages;
        this.virtual = virtual;
    }

    /// What rules say of another number of stages.
    Set<String> notes() {
        return notes;
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
        if (!NameTemplate.isNumber(member)) {
            problems.error(
                    clause.span(),
                    "{%s} is '%s'; expected a number to place it by"
                            .formatted(capture(clause), member));
            return OptionalInt.empty();
        }
        List<Integer> ends = ends(clause);
        int position = position(clause, member);
        for (int chunk = 0; chunk < ends.size(); chunk++) {
            if (position < ends.get(chunk)) {
                return OptionalInt.of(
                        clause instanceof Clause.StageOf ? chunk % stages(ends) : chunk);
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
        List<Integer> ends = ends(clause);
        int ranks = clause instanceof Clause.StageOf ? stages(ends) : ends.size();
        int position = position(clause, member);
        int own = 0;
        int start = 0;
        for (int chunk = 0; start <= position; chunk++) {
            int end = ends.get(chunk);
            if (chunk % ranks == rank) {
                own += Math.min(end, position) - start;
            }
            start = end;
        }
        return Optional.of(Integer.toString(own));
    }

    private int stages(List<Integer> chunkEnds) {
        return chunkEnds.size() / virtual;
    }

    private int position(Clause clause, String member) {
        return members.getOrDefault(key(clause), new TreeSet<>())
                .headSet(Long.parseLong(member))
                .size();
    }

    /// One past the last member of each rank. All members have been noted.
    private List<Integer> ends(Clause clause) {
        return ends.computeIfAbsent(clause, this::cut);
    }

    private List<Integer> cut(Clause clause) {
        int count = members.getOrDefault(key(clause), new TreeSet<>()).size();
        return switch (clause) {
            case Clause.Expert e -> experts(count, mesh.degree(e.axis().text()), e.axis().text());
            case Clause.StageOf s -> layers(s, count, mesh.degree(s.axis().text()));
            case Clause _ -> List.of();
        };
    }

    /// @throws ImpossibleLayoutException where ranks would hold more experts than others
    static void checkExperts(long count, int ranks, String axis) {
        if (count % ranks != 0) {
            throw new ImpossibleLayoutException(
                    "%s %d over %d experts".formatted(axis, ranks, count),
                    "equally many experts on every rank: %s %s"
                            .formatted(axis, Divisors.of(count)));
        }
    }

    private static List<Integer> experts(int count, int ranks, String axis) {
        checkExperts(count, ranks, axis);
        List<Integer> ends = new ArrayList<>();
        for (int r = 1; r <= ranks; r++) {
            ends.add(count / ranks * r);
        }
        return ends;
    }

    private List<Integer> layers(Clause.StageOf clause, int count, int ranks) {
        int chunks = ranks * virtual;
        if (count < chunks) {
            throw new ImpossibleLayoutException(
                    "pp %d%s over %d layers".formatted(ranks, chunked(), count),
                    "a layer or more for every %s: pp 1 to %d"
                            .formatted(virtual > 1 ? "chunk" : "stage", count / virtual));
        }
        if (stages.isPresent()) {
            List<Long> asked = stages.get().stream().map(Integer::longValue).toList();
            return ends("--stages", asked, chunks, count);
        }
        Optional<List<Long>> said = said(clause, chunks);
        if (said.isPresent()) {
            return ends("stages", said.get(), chunks, count);
        }
        if (virtual > 1 && count % chunks != 0) {
            throw new ImpossibleLayoutException(
                    "pp %d%s over %d layers".formatted(ranks, chunked(), count),
                    "equally many layers in every chunk\n"
                            + "hint: or give those of each, --stages N,N,..");
        }
        return StageCut.balanced(Collections.nCopies(count, 1L), chunks).subList(1, chunks + 1);
    }

    /// The counts of a rule, where they are of as many stages and chunks, and the user gives none.
    Optional<List<Long>> said(Clause.StageOf clause, int chunks) {
        if (stages.isPresent() || chunks == 1) {
            return Optional.empty();
        }
        Optional<List<Long>> counts = clause.counts().flatMap(numbers::values);
        if (counts.isEmpty()) {
            return counts;
        }
        long said = clause.virtual().map(numbers::value).orElse(OptionalLong.of(1)).orElse(0);
        if (said == virtual && counts.get().size() == chunks) {
            return counts;
        }
        notes.add(
                "stages %s of {%s} hold for %d stages; the target's %d are cut anew"
                        .formatted(
                                counts.get(),
                                clause.capture(),
                                counts.get().size() / Math.max(1, said),
                                chunks / virtual));
        return Optional.empty();
    }

    /// @param who says the counts
    private List<Integer> ends(String who, List<Long> counts, int chunks, int count) {
        List<Integer> ends = new ArrayList<>();
        long sum = 0;
        for (long stage : counts) {
            sum = Math.addExact(sum, stage);
            ends.add(Math.toIntExact(sum));
        }
        if (ends.size() != chunks || sum != count || counts.stream().anyMatch(c -> c < 0)) {
            throw new ImpossibleLayoutException(
                    "%s %s, %d layers on %d stages".formatted(who, counts, sum, ends.size()),
                    "%d %s, %d layers in all"
                            .formatted(chunks, virtual > 1 ? "chunks" : "stages", count));
        }
        return ends;
    }

    private String chunked() {
        return virtual > 1 ? " with %d chunks a stage".formatted(virtual) : "";
    }
}
