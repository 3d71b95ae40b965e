package io.ucp.plan;

import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.StateHolding;
import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.tensor.DType;
import io.ucp.tensor.Floats;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Transfer;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// Turns target files into steps: for every element that a target wants, where each copy of the
/// source holds it. Reads nothing; costs O(boxes log boxes).
public final class Planner {
    private Planner() {}

    /// How to write `files` from `source`. The first place that holds a state whole is where its
    /// digest is taken (of the bytes as they are there, cast or not) and where its replicas are
    /// compared; other places of it are filled from the first copy alone.
    ///
    /// @throws ImpossiblePlanException where a target wants what the source does not hold
    /// @throws io.ucp.formats.RefusedException where it wants a cast that could lose more than
    ///   rounding does
    public static CopyPlan plan(Inventory source, List<TargetFile> files) {
        Labels labels = new Labels();
        StatePlanner states = new StatePlanner(source, labels);
        Map<Integer, Place> wholes = wholes(states, files);
        List<TargetPlan> targets = new ArrayList<>(files.size());
        for (int number = 0; number < files.size(); number++) {
            TargetFile file = files.get(number);
            List<Step> steps = new ArrayList<>(file.parts().size());
            List<DigestRegion> digests = new ArrayList<>();
            for (int k = 0; k < file.parts().size(); k++) {
                Place place = new Place(number, k);
                steps.add(
                        switch (file.parts().get(k)) {
                            case Part.Literal(long offset, byte[] bytes) ->
                                    new Step.Literal(offset, bytes);
                            case Part.Zeros(long offset, long size) -> new Step.Fill(offset, size);
                            case Part.Copied(long offset, var from, long at, long size) ->
                                    new Step.Bytes(offset, from, at, size);
                            case Part.Elements(long offset, Elementwise of) -> {
                                int label = states.label(file.path(), of);
                                boolean first = place.equals(wholes.getOrDefault(label, place));
                                if (first && wholes.containsKey(label)) {
                                    digests.addAll(states.digest(file.path(), offset, of));
                                    digests.addAll(states.padded(file.path(), offset, of));
                                }
                                yield states.step(file.path(), offset, of, first);
                            }
                        });
            }
            targets.add(
                    TargetPlan.of(
                            file.path(),
                            file.size(),
                            steps,
                            file.checksums(),
                            digests,
                            file.assembler(),
                            Optional.empty()));
        }
        return new CopyPlan(targets, labels.list());
    }

    /// Whether a piece of a parameter holds nothing of its padding.
    public static boolean isReal(ParameterFacts facts, Piece piece) {
        long real =
                piece.intersect(StatePlanner.realPiece(facts)).stream()
                        .mapToLong(Transfer::count)
                        .sum();
        return real == piece.count();
    }

    /// A part of a file, by their numbers.
    private record Place(int file, int part) {}

    /// The first place of each label that holds all of its real elements.
    private static Map<Integer, Place> wholes(StatePlanner states, List<TargetFile> files) {
        Map<Integer, Place> wholes = new HashMap<>();
        for (int number = 0; number < files.size(); number++) {
            TargetFile file = files.get(number);
            for (int k = 0; k < file.parts().size(); k++) {
                if (file.parts().get(k) instanceof Part.Elements(long _, Elementwise of)
                        && states.isWhole(file.path(), of)) {
                    wholes.putIfAbsent(states.label(file.path(), of), new Place(number, k));
                }
            }
        }
        return wholes;
    }

    /// How to read every state once: digests, and replicas compared. One target a state, named
    /// `parameter/state`, padding included.
    public static CopyPlan digests(Inventory source) {
        List<TargetFile> files = new ArrayList<>();
        for (Parameter parameter : source.parameters()) {
            parameter
                    .states()
                    .forEach(
                            (state, holding) -> {
                                ParameterFacts facts = parameter.facts();
                                Elementwise of =
                                        new Elementwise(
                                                facts.name(),
                                                state,
                                                holding.dtype(),
                                                facts.shape().count(),
                                                List.of(Piece.whole(facts.shape())));
                                files.add(
                                        new TargetFile(
                                                facts.name() + "/" + state,
                                                of.size(),
                                                List.of(new Part.Elements(0, of)),
                                                List.of(),
                                                Optional.empty()));
                            });
        }
        return plan(source, files);
    }

    /// How to read the real elements of every state once, one target a state, named
    /// `parameter/state`. Where a parameter has its own copy and the master that it was made from,
    /// the copy is compared with the master's cast.
    public static CopyPlan values(Inventory source) {
        Labels labels = new Labels();
        StatePlanner states = new StatePlanner(source, labels);
        List<TargetPlan> targets = new ArrayList<>();
        for (Parameter parameter : source.parameters()) {
            Optional<DType> master = floats(parameter, "fp32");
            for (Map.Entry<String, StateHolding> entry : parameter.states().entrySet()) {
                String state = entry.getKey();
                String path = parameter.name() + "/" + state;
                Elementwise of = real(parameter.facts(), state, entry.getValue().dtype());
                Optional<TargetPlan.Against> against = Optional.empty();
                if (state.equals("weight")
                        && floats(parameter, state).isPresent()
                        && master.isPresent()) {
                    int label =
                            labels.add(
                                    new CopyPlan.Label(
                                            parameter.name(),
                                            state,
                                            List.of("weight", "fp32"),
                                            OptionalLong.empty()));
                    Elementwise cast = real(parameter.facts(), "fp32", of.dtype());
                    against =
                            Optional.of(
                                    new TargetPlan.Against(
                                            List.of(states.step(path, 0, cast, false)), label));
                }
                targets.add(
                        TargetPlan.of(
                                path,
                                of.size(),
                                List.of(states.step(path, 0, of, false)),
                                List.of(),
                                List.of(),
                                Optional.empty(),
                                against));
            }
        }
        return new CopyPlan(targets, labels.list());
    }

    private static Optional<DType> floats(Parameter parameter, String state) {
        return Optional.ofNullable(parameter.states().get(state))
                .map(StateHolding::dtype)
                .filter(Floats::covers);
    }

    /// How to read both and compare the real elements of every state that they both hold.
    public static Comparison compare(Inventory first, Inventory second) {
        return compare(first, second, false);
    }

    /// @param acrossTypes whether states of two float types are compared too, in one that has the
    ///   values of both
    public static Comparison compare(Inventory first, Inventory second, boolean acrossTypes) {
        Labels labels = new Labels();
        StatePlanner mine = new StatePlanner(first, labels);
        StatePlanner theirs = new StatePlanner(second, labels);
        Map<String, Parameter> others = new HashMap<>();
        second.parameters().forEach(p -> others.put(p.name(), p));
        List<TargetPlan> targets = new ArrayList<>();
        List<Comparison.Unlike> unlike = new ArrayList<>();
        List<String> onlyFirst = new ArrayList<>();
        Set<String> both = new HashSet<>();
        for (Parameter a : first.parameters()) {
            Optional<Parameter> b = Optional.ofNullable(others.get(a.name()));
            for (Map.Entry<String, StateHolding> entry : a.states().entrySet()) {
                String state = entry.getKey();
                String path = a.name() + "/" + state;
                Optional<StateHolding> other =
                        b.flatMap(p -> Optional.ofNullable(p.states().get(state)));
                if (b.isEmpty() || other.isEmpty()) {
                    onlyFirst.add(path);
                    continue;
                }
                both.add(path);
                String held = describe(a, entry.getValue().dtype());
                String otherHeld = describe(b.get(), other.get().dtype());
                DType dtype = entry.getValue().dtype();
                DType otherDtype = other.get().dtype();
                boolean comparable =
                        acrossTypes
                                && Floats.covers(dtype)
                                && Floats.covers(otherDtype)
                                && a.facts().realShape().equals(b.get().facts().realShape());
                if (!held.equals(otherHeld) && !comparable) {
                    unlike.add(new Comparison.Unlike(a.name(), state, held, otherHeld));
                    continue;
                }
                DType common = both(dtype, otherDtype);
                Elementwise ofMine = real(a.facts(), state, common);
                Elementwise ofTheirs = real(b.get().facts(), state, common);
                int sides =
                        labels.add(
                                new CopyPlan.Label(
                                        a.name(),
                                        state,
                                        List.of("first", "second"),
                                        OptionalLong.empty()));
                targets.add(
                        TargetPlan.of(
                                path,
                                ofMine.size(),
                                List.of(mine.step(path, 0, ofMine, true)),
                                List.of(),
                                List.of(),
                                Optional.empty(),
                                Optional.of(
                                        new TargetPlan.Against(
                                                List.of(theirs.step(path, 0, ofTheirs, true)),
                                                sides))));
            }
        }
        List<String> onlySecond = new ArrayList<>();
        for (Parameter b : second.parameters()) {
            b.states().keySet().stream()
                    .map(state -> b.name() + "/" + state)
                    .filter(path -> !both.contains(path))
                    .forEach(onlySecond::add);
        }
        return new Comparison(new CopyPlan(targets, labels.list()), unlike, onlyFirst, onlySecond);
    }

    /// A type that has the values of both.
    private static DType both(DType a, DType b) {
        if (a == b) {
            return a;
        }
        return a.width() == b.width() ? DType.FLOAT32 : a.width() > b.width() ? a : b;
    }

    private static Elementwise real(ParameterFacts facts, String state, DType dtype) {
        return new Elementwise(
                facts.name(),
                state,
                dtype,
                facts.realShape().count(),
                List.of(StatePlanner.realPiece(facts)));
    }

    private static String describe(Parameter parameter, DType dtype) {
        return parameter.facts().realShape() + " " + dtype.torchName();
    }

    /// The plan's labels as they come up.
    static final class Labels {
        private final List<CopyPlan.Label> list = new ArrayList<>();

        int add(CopyPlan.Label label) {
            list.add(label);
            return list.size() - 1;
        }

        void digested(int label, long size) {
            CopyPlan.Label l = list.get(label);
            list.set(
                    label,
                    new CopyPlan.Label(
                            l.parameter(), l.state(), l.copies(), OptionalLong.of(size)));
        }

        List<CopyPlan.Label> list() {
            return list;
        }
    }
}
