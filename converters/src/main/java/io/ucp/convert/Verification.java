package io.ucp.convert;

import io.ucp.checkpoint.Parameter;
import io.ucp.execute.ExecutionResult;
import io.ucp.execute.PlanExecutor;
import io.ucp.execute.Progress;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.Scalar;
import io.ucp.plan.Comparison;
import io.ucp.plan.Planner;
import io.ucp.plan.Step;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// Whether a checkpoint is whole, and whether two hold the same state.
public final class Verification {
    private Verification() {}

    /// What was found.
    ///
    /// @param differences empty where all is well
    /// @param states checked
    /// @param bytes read
    /// @param notes what was not compared, and why
    public record Verdict(
            List<Difference> differences, long states, long bytes, List<String> notes) {
        public Verdict {
            differences = List.copyOf(differences);
            notes = List.copyOf(notes);
        }

        public boolean equal() {
            return differences.isEmpty();
        }

        /// What was found of the same states in another way.
        public Verdict and(Verdict other) {
            List<Difference> all = new ArrayList<>(differences);
            all.addAll(other.differences);
            List<String> said = new ArrayList<>(notes);
            said.addAll(other.notes);
            return new Verdict(
                    all, Math.max(states, other.states), Math.addExact(bytes, other.bytes), said);
        }
    }

    /// One thing that is not as it should be.
    ///
    /// @param parameter name, or a file's path for damage outside of parameters
    /// @param state empty where the whole parameter (or file) is meant
    /// @param what one line: how many elements, the first index, by how much, or what is damaged
    public record Difference(String parameter, String state, String what) {}

    /// Structure, digests kept in the checkpoint, and replicas.
    public static Verdict check(Described described, RunOptions options, Progress progress)
            throws IOException {
        return check(described, Optional.empty(), options, progress);
    }

    /// @param against digests that were recorded before
    public static Verdict check(
            Described described,
            Optional<DigestFile> against,
            RunOptions options,
            Progress progress)
            throws IOException {
        ExecutionResult result =
                PlanExecutor.read(
                        Planner.digests(described.inventory()),
                        Conversion.executing(options),
                        progress);
        List<Difference> differences = new ArrayList<>();
        List<String> notes = new ArrayList<>();
        for (ExecutionResult.Difference d : result.differences()) {
            if (d.rule() == Step.Rule.EQUAL) {
                differences.add(new Difference(d.parameter(), d.state(), DifferenceText.of(d)));
            } else {
                notes.add(
                        "%s %s: %s; the spec takes the first"
                                .formatted(d.parameter(), d.state(), DifferenceText.of(d)));
            }
        }
        long states = 0;
        long recorded = 0;
        for (Parameter parameter : described.inventory().parameters()) {
            states += parameter.states().size();
            recorded += ParameterFacts.ofRealElements(parameter.facts().digests()).size();
            Map<String, String> now = result.digests().getOrDefault(parameter.name(), Map.of());
            // By name, so that a state comes before the same with its padding.
            Set<String> damaged = new TreeSet<>();
            for (Map.Entry<String, String> kept :
                    new TreeMap<>(parameter.facts().digests()).entrySet()) {
                String found = now.getOrDefault(kept.getKey(), "none");
                if (!found.equals(kept.getValue())
                        && damaged.add(ParameterFacts.digestedState(kept.getKey()))) {
                    differences.add(
                            new Difference(
                                    parameter.name(),
                                    kept.getKey(),
                                    "its bytes have digest %s; the checkpoint recorded %s"
                                            .formatted(found, kept.getValue())));
                }
            }
        }
        differences.addAll(FileChecks.of(described.inventory().index()));
        if (against.isPresent()) {
            DigestFile now = DigestFile.of(described.inventory(), result.digests());
            if (!against.get().files().isEmpty()) {
                now = now.withFiles(described.inventory().index());
            }
            for (Difference d : against.get().differences(now)) {
                boolean told =
                        differences.stream()
                                .anyMatch(
                                        o ->
                                                o.parameter().equals(d.parameter())
                                                        && o.state().equals(d.state()));
                if (!told) {
                    differences.add(d);
                }
            }
        } else if (recorded < states) {
            notes.add(
                    "%d of %d states have no recorded digest; files and replicas were checked"
                            .formatted(states - recorded, states));
        }
        return new Verdict(differences, states, result.counts().bytesRead(), notes);
    }

    /// The same state, whatever the layouts and formats are: every state that a parameter has on
    /// both sides is compared byte for byte over its real elements, and every one that only one
    /// side has is named. `weight` is named in the notes only where the other side has the master:
    /// it is derived from it.
    public static Verdict compare(
            Described first, Described second, RunOptions options, Progress progress)
            throws IOException {
        Comparison comparison = Planner.compare(first.inventory(), second.inventory());
        ExecutionResult result =
                PlanExecutor.read(comparison.plan(), Conversion.executing(options), progress);
        List<Difference> differences = new ArrayList<>();
        List<String> notes = new ArrayList<>();
        for (Comparison.Unlike unlike : comparison.unlike()) {
            differences.add(
                    new Difference(
                            unlike.parameter(),
                            unlike.state(),
                            "%s in the first, %s in the second"
                                    .formatted(unlike.first(), unlike.second())));
        }
        for (ExecutionResult.Difference d : result.differences()) {
            if (d.rule() == Step.Rule.EQUAL) {
                differences.add(new Difference(d.parameter(), d.state(), DifferenceText.of(d)));
            } else {
                notes.add("%s %s: %s".formatted(d.parameter(), d.state(), DifferenceText.of(d)));
            }
        }
        onOneSide(comparison.onlyFirst(), "first", "second", second, differences, notes);
        onOneSide(comparison.onlySecond(), "second", "first", first, differences, notes);
        scalars(first, second, differences);
        aliases(first, second, differences, notes);
        iterations(first, second, differences);
        notes.addAll(
                CarriedComparison.of(first.inventory().carried(), second.inventory().carried()));
        differences.addAll(FileChecks.of(first.source().index()));
        differences.addAll(FileChecks.of(second.source().index()));
        return new Verdict(
                differences,
                comparison.plan().targets().size(),
                result.counts().bytesRead(),
                notes);
    }

    /// Other names of parameters, where both keep any.
    static void aliases(
            Described first, Described second, List<Difference> differences, List<String> notes) {
        Map<String, Set<String>> mine = aliases(first);
        Map<String, Set<String>> theirs = aliases(second);
        if (mine.isEmpty() != theirs.isEmpty()) {
            notes.add(
                    "other names of parameters are only in the %s"
                            .formatted(theirs.isEmpty() ? "first" : "second"));
            return;
        }
        TreeSet<String> names = new TreeSet<>(mine.keySet());
        names.addAll(theirs.keySet());
        for (String name : names) {
            Set<String> a = mine.getOrDefault(name, Set.of());
            Set<String> b = theirs.getOrDefault(name, Set.of());
            if (!a.equals(b)) {
                differences.add(
                        new Difference(
                                name,
                                "",
                                "other names %s in the first, %s in the second".formatted(a, b)));
            }
        }
    }

    private static Map<String, Set<String>> aliases(Described of) {
        Map<String, Set<String>> aliases = new HashMap<>();
        for (Parameter parameter : of.inventory().parameters()) {
            if (!parameter.facts().aliases().isEmpty()) {
                aliases.put(parameter.name(), new TreeSet<>(parameter.facts().aliases()));
            }
        }
        return aliases;
    }

    static void iterations(Described first, Described second, List<Difference> differences) {
        OptionalLong mine = first.inventory().index().iteration();
        OptionalLong theirs = second.inventory().index().iteration();
        if (mine.isPresent() && theirs.isPresent() && !mine.equals(theirs)) {
            differences.add(
                    new Difference(
                            "iteration",
                            "",
                            "%d in the first, %d in the second"
                                    .formatted(mine.getAsLong(), theirs.getAsLong())));
        }
    }

    static void onOneSide(
            List<String> states,
            String side,
            String other,
            Described lacking,
            List<Difference> differences,
            List<String> notes) {
        long derived = 0;
        for (String place : states) {
            int slash = place.lastIndexOf('/');
            String parameter = place.substring(0, slash);
            String state = place.substring(slash + 1);
            boolean weightOfMaster =
                    state.equals("weight")
                            && lacking.inventory()
                                    .find(parameter)
                                    .filter(p -> p.states().containsKey("fp32"))
                                    .isPresent();
            if (weightOfMaster) {
                derived++;
            } else {
                differences.add(
                        new Difference(parameter, state, "only the %s holds it".formatted(side)));
            }
        }
        if (derived > 0) {
            notes.add(
                    "the model's own copy (`weight`) of %d parameters is only in the %s; the %s has the master it is made from"
                            .formatted(derived, side, other));
        }
    }

    /// Frameworks count steps in integers or in floats.
    private static boolean sameNumber(@Nullable Scalar a, @Nullable Scalar b) {
        return a != null && b != null && a.whole().isPresent() && a.whole().equals(b.whole());
    }

    static void scalars(Described first, Described second, List<Difference> differences) {
        Map<String, Parameter> others = new HashMap<>();
        second.inventory().parameters().forEach(p -> others.put(p.name(), p));
        for (Parameter a : first.inventory().parameters()) {
            Parameter b = others.get(a.name());
            if (b == null) {
                continue;
            }
            TreeSet<String> names = new TreeSet<>(a.facts().scalars().keySet());
            names.addAll(b.facts().scalars().keySet());
            for (String name : names) {
                Scalar mine = a.facts().scalars().get(name);
                Scalar theirs = b.facts().scalars().get(name);
                if (!Objects.equals(mine, theirs) && !sameNumber(mine, theirs)) {
                    differences.add(
                            new Difference(
                                    a.name(),
                                    name,
                                    "%s in the first, %s in the second"
                                            .formatted(
                                                    mine == null ? "none" : mine,
                                                    theirs == null ? "none" : theirs)));
                }
            }
        }
    }
}
