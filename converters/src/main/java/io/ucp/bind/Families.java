package io.ucp.bind;

import io.ucp.lang.ast.Clause;
import io.ucp.lang.diagnostic.Span;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.layout.Widths;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// Families of parameters with a number in the name, of layers over pipeline stages and of experts
/// over expert ranks: which rank holds which member, and the global number of one that is numbered
/// per rank on disk. Rules that capture under one name, over one axis, with the same words, are one
/// family.
final class Families implements MemberPlaces {
    /// @param counts members of each chunk, where the spec lists them
    /// @param virtual chunks of each rank, interleaved
    /// @param perRank numbers on disk count from 0 on every rank
    private record Key(
            String capture,
            String axis,
            Optional<List<Long>> counts,
            long virtual,
            boolean perRank,
            boolean experts) {}

    private static final class Family {
        final Span span;

        /// Per rank of the axis the numbers in its files.
        final TreeMap<Integer, TreeSet<Long>> held = new TreeMap<>();

        /// Numbers in files that do not say their rank: these are global.
        final TreeSet<Long> free = new TreeSet<>();

        List<Long> members = List.of();
        List<Long> chunks = List.of();
        boolean broken;

        Family(Span span) {
            this.span = span;
        }
    }

    private final Mesh mesh;
    private final Numbers numbers;
    private final Problems problems;
    private final Map<Key, Family> families = new LinkedHashMap<>();
    private final IdentityHashMap<Clause, Optional<Key>> keys = new IdentityHashMap<>();

    Families(Mesh mesh, Numbers numbers, Problems problems) {
        this.mesh = mesh;
        this.numbers = numbers;
        this.problems = problems;
    }

    /// Takes note of a member as the files name it.
    ///
    /// @param index of the rank along the axis, where the files say it
    void note(Clause clause, String captured, OptionalInt index, String name) {
        Optional<Key> key = key(clause);
        OptionalLong number = number(clause, captured, name);
        if (key.isEmpty() || number.isEmpty()) {
            return;
        }
        Family family = families.computeIfAbsent(key.get(), _ -> new Family(clause.span()));
        if (index.isPresent()) {
            family.held
                    .computeIfAbsent(index.getAsInt(), _ -> new TreeSet<>())
                    .add(number.getAsLong());
        } else {
            family.free.add(number.getAsLong());
        }
    }

    private OptionalLong number(Clause clause, String captured, String name) {
        if (NameTemplate.isNumber(captured)) {
            return OptionalLong.of(Long.parseLong(captured));
        }
        problems.error(
                clause.span(),
                "number",
                name,
                "gives '%s'; expected a number to place it by".formatted(captured),
                Optional.empty());
        return OptionalLong.empty();
    }

    private Optional<Key> key(Clause clause) {
        return keys.computeIfAbsent(
                clause,
                c ->
                        switch (c) {
                            case Clause.StageOf s -> stageKey(s);
                            case Clause.Expert e ->
                                    Optional.of(
                                            new Key(
                                                    e.capture().text(),
                                                    e.axis().text(),
                                                    Optional.empty(),
                                                    1,
                                                    e.local(),
                                                    true));
                            default -> Optional.empty();
                        });
    }

    private Optional<Key> stageKey(Clause.StageOf s) {
        Optional<List<Long>> counts = s.counts().flatMap(numbers::values);
        OptionalLong virtual = s.virtual().map(numbers::value).orElse(OptionalLong.of(1));
        if ((s.counts().isPresent() && counts.isEmpty()) || virtual.isEmpty()) {
            return Optional.empty();
        }
        if (virtual.getAsLong() < 1) {
            problems.error(
                    s.span(), "virtual %d; expected 1 or more".formatted(virtual.getAsLong()));
            return Optional.empty();
        }
        return Optional.of(
                new Key(
                        s.capture().text(),
                        s.axis().text(),
                        counts,
                        virtual.getAsLong(),
                        s.renumbered(),
                        false));
    }

    /// Settles every family once all members are noted, and says where the checkpoint disagrees.
    void settle() {
        families.forEach(this::settle);
    }

    private void settle(Key key, Family family) {
        int degree = mesh.degree(key.axis);
        try {
            if (key.perRank && degree > 1) {
                settlePerRank(key, family, degree);
            } else {
                TreeSet<Long> all = new TreeSet<>(family.free);
                family.held.values().forEach(all::addAll);
                family.members = List.copyOf(all);
                family.chunks = chunks(key, family.members.size(), degree);
                checkPlaces(key, family);
            }
        } catch (ImpossibleLayoutException e) {
            family.broken = true;
            problems.error(family.span, e.problem(), observed(key, family));
        }
    }

    private void settlePerRank(Key key, Family family, int degree) {
        List<Long> sizes = new ArrayList<>(Collections.nCopies(degree, 0L));
        for (var held : family.held.entrySet()) {
            TreeSet<Long> local = held.getValue();
            if (!countsFromZero(local)) {
                throw new ImpossibleLayoutException(
                        "%s %d numbers {%s} as %s"
                                .formatted(key.axis, held.getKey(), key.capture, local),
                        "0 to %d, since names count per rank".formatted(local.size() - 1));
            }
            sizes.set(held.getKey(), (long) local.size());
        }
        long total = sizes.stream().mapToLong(Long::longValue).sum();
        if (family.held.isEmpty()) {
            total = family.free.size();
        }
        family.chunks = chunks(key, total, degree);
        List<Long> members = new ArrayList<>();
        for (long i = 0; i < total; i++) {
            members.add(i);
        }
        family.members = members;
        for (int r = 0; !family.held.isEmpty() && r < degree; r++) {
            long said = 0;
            for (int c = r; c < family.chunks.size(); c += degree) {
                said += family.chunks.get(c);
            }
            if (said != sizes.get(r)) {
                throw new ImpossibleLayoutException(
                        "%s %d holds %d of {%s}".formatted(key.axis, r, sizes.get(r), key.capture),
                        "%d of the %d".formatted(said, total));
            }
        }
    }

    private static boolean countsFromZero(NavigableSet<Long> local) {
        return local.first() == 0 && local.last() == local.size() - 1;
    }

    private static List<Long> chunks(Key key, long members, int degree) {
        if (key.virtual > Math.max(1, members)) {
            throw new ImpossibleLayoutException(
                    "virtual %d of %d members".formatted(key.virtual, members),
                    "a member or more for every chunk");
        }
        int chunks = Math.toIntExact(Math.multiplyExact(degree, key.virtual));
        Widths widths =
                key.counts
                        .<Widths>map(Widths.Listed::new)
                        .orElse(key.experts ? Widths.Rule.EVEN : Widths.Rule.BALANCED);
        try {
            return Arrays.stream(widths.of(members, chunks)).boxed().toList();
        } catch (ImpossibleLayoutException _) {
            throw key.counts.isPresent()
                    ? new ImpossibleLayoutException(
                            "stages %s of {%s}".formatted(key.counts.get(), key.capture),
                            "%d counts that sum to %d".formatted(chunks, members))
                    : new ImpossibleLayoutException(
                            "%d experts over %s %d".formatted(members, key.axis, degree),
                            "equally many on every rank: %s %s"
                                    .formatted(key.axis, Divisors.of(members)));
        }
    }

    private void checkPlaces(Key key, Family family) {
        for (var held : family.held.entrySet()) {
            for (long member : held.getValue()) {
                int said = place(key, family, member);
                if (said != held.getKey()) {
                    throw new ImpossibleLayoutException(
                            "{%s} %d is held at %s %d"
                                    .formatted(key.capture, member, key.axis, held.getKey()),
                            "%s %d, by counts %s".formatted(key.axis, said, family.chunks));
                }
            }
        }
    }

    /// What the checkpoint's own counts would be written as, where they are consecutive.
    private Optional<String> observed(Key key, Family family) {
        if (key.experts || key.virtual != 1) {
            return Optional.empty();
        }
        if (key.perRank && family.held.values().stream().anyMatch(h -> !countsFromZero(h))) {
            return Optional.empty();
        }
        List<Integer> counts = new ArrayList<>();
        long last = -1;
        Set<Long> seen = new HashSet<>();
        for (int r = 0; r < mesh.degree(key.axis); r++) {
            TreeSet<Long> held = family.held.getOrDefault(r, new TreeSet<>());
            for (long member : held) {
                if (!key.perRank && (member <= last || !seen.add(member))) {
                    return Optional.of(
                            "the checkpoint does not hold {%s} in order; place it by 'stage N over %s'"
                                    .formatted(key.capture, key.axis));
                }
                last = member;
            }
            counts.add(held.size());
        }
        return Optional.of(
                "the checkpoint's own: stage %s over %s stages %s%s"
                        .formatted(
                                key.capture, key.axis, counts, key.perRank ? " renumbered" : ""));
    }

    private int place(Key key, Family family, long member) {
        int position = Collections.binarySearch(family.members, member);
        if (position < 0) {
            return -1;
        }
        long end = 0;
        for (int c = 0; c < family.chunks.size(); c++) {
            end += family.chunks.get(c);
            if (position < end) {
                return c % mesh.degree(key.axis);
            }
        }
        return -1;
    }

    @Override
    public OptionalInt place(Clause clause, String global) {
        Optional<Key> key = key(clause);
        Family family = key.map(families::get).orElse(null);
        if (key.isEmpty() || family == null || family.broken || !NameTemplate.isNumber(global)) {
            return OptionalInt.empty();
        }
        int place = place(key.get(), family, Long.parseLong(global));
        return place < 0 ? OptionalInt.empty() : OptionalInt.of(place);
    }

    /// The global number of a member that a rank's files name.
    String global(Clause clause, String captured, OptionalInt index) {
        Optional<Key> key = key(clause);
        Family family = key.map(families::get).orElse(null);
        if (key.isEmpty() || family == null || family.broken || !NameTemplate.isNumber(captured)) {
            return captured;
        }
        int degree = mesh.degree(key.get().axis);
        if (!key.get().perRank || degree == 1 || index.isEmpty()) {
            return captured;
        }
        long rest = Long.parseLong(captured);
        long before = 0;
        for (int c = 0; c < family.chunks.size(); c++) {
            long chunk = family.chunks.get(c);
            if (c % degree == index.getAsInt()) {
                if (rest < chunk) {
                    return Long.toString(before + rest);
                }
                rest -= chunk;
            }
            before += chunk;
        }
        return captured;
    }
}
