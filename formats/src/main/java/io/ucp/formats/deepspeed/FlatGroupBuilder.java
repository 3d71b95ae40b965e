package io.ucp.formats.deepspeed;

import io.ucp.formats.Finding;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.FlatGroup.Member;
import io.ucp.formats.FlatGroup.Part;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.deepspeed.GroupHolders.Holders;
import io.ucp.formats.deepspeed.writing.RoundRobin;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;

/// One flat group from the parts that its holders have, checked against the rules by which
/// DeepSpeed cuts: not `each`, the members' elements end to end, zero-padded to a multiple of twice
/// the parts (of the parts in older files), in equal parts; `each`, every member on its own.
///
/// A state is part of the group where its tensor is as long as the part, with or without the part's
/// padding. A state that is so on no rank is left where it is and told.
final class FlatGroupBuilder {
    private static final String MASTER = "fp32";

    private final Holders holders;
    private final CheckpointFile shapes;
    private final int number;
    private final boolean each;
    private final List<Member> listed;
    private final List<Finding> findings;
    private final long count;

    FlatGroupBuilder(
            Holders holders,
            CheckpointFile shapes,
            int number,
            boolean each,
            List<Member> listed,
            List<Finding> findings) {
        this.holders = holders;
        this.shapes = shapes;
        this.number = number;
        this.each = each;
        this.listed = listed;
        this.findings = findings;
        this.count = listed.stream().mapToLong(m -> m.shape().count()).reduce(0, Math::addExact);
    }

    private int parts() {
        return holders.groups().size();
    }

    FlatGroup build() throws IOException {
        long extent = extent();
        checkPaddings(extent);
        List<Member> members = each ? listed : inFlatOrder(extent);
        Set<String> flat = flatStates(extent);
        List<Part> parts = new ArrayList<>();
        for (int p = 0; p < parts(); p++) {
            parts.add(part(p, extent, flat));
        }
        checkScalars(parts);
        return new FlatGroup(
                number,
                holders.groups().getFirst().optimizerGroup(),
                holders.at(),
                holders.axis(),
                each,
                members,
                parts);
    }

    /// Elements of a part with its padding: the rule whose result fits the fp32 tensors.
    private long extent() throws MalformedFileException {
        List<Long> rules = new ArrayList<>();
        if (each) {
            rules.add(
                    listed.stream()
                            .mapToLong(m -> Math.ceilDiv(m.shape().count(), parts()))
                            .reduce(0, Math::addExact));
        } else {
            rules.add(Math.ceilDiv(count, 2L * parts()) * 2);
            rules.add(Math.ceilDiv(count, parts()));
        }
        for (long extent : rules) {
            if (fits(extent)) {
                return extent;
            }
        }
        for (int p = 0; p < parts(); p++) {
            long held = lengthOfMaster(p);
            if (!isPart(held, p, rules.getFirst())) {
                throw file(p).malformed(
                                "the fp32 tensor of group %d has %d elements"
                                        .formatted(number, held),
                                "%s of the %d elements of %d parameters over %d ranks"
                                        .formatted(
                                                lengths(p, rules.getFirst()),
                                                count,
                                                listed.size(),
                                                parts()),
                                "the shapes are from `param_shapes` in " + shapes.label());
            }
        }
        throw new IllegalStateException("some part does not fit");
    }

    private boolean fits(long extent) {
        for (int p = 0; p < parts(); p++) {
            if (!isPart(lengthOfMaster(p), p, extent)) {
                return false;
            }
        }
        return true;
    }

    private long lengthOfMaster(int p) {
        return holders.groups().get(p).master().map(t -> t.shape().count()).orElse(0L);
    }

    private boolean isPart(long length, int p, long extent) {
        return length == extent || (!each && length == real(p, extent));
    }

    private String lengths(int p, long extent) {
        long real = each ? extent : real(p, extent);
        return real == extent ? Long.toString(extent) : "%d or %d".formatted(real, extent);
    }

    /// Elements of the part that are no padding.
    private long real(int p, long extent) {
        return Math.clamp(count - Math.multiplyExact(p, extent), 0, extent);
    }

    /// `group_paddings`: of each part (stages 1 and 2), or of the whole in the last part
    /// (BF16_Optimizer).
    private void checkPaddings(long extent) throws MalformedFileException {
        for (int p = 0; p < parts() && !each; p++) {
            OptionalLong said = holders.groups().get(p).padding();
            long own = extent - real(p, extent);
            long whole = p == parts() - 1 ? Math.multiplyExact(extent, parts()) - count : 0;
            if (said.isPresent() && said.getAsLong() != own && said.getAsLong() != whole) {
                throw file(p).malformed(
                                "`group_paddings` says %d for group %d"
                                        .formatted(said.getAsLong(), number),
                                "%d: %d elements in %d parts of %d"
                                        .formatted(own, count, parts(), extent));
            }
        }
    }

    private List<Member> inFlatOrder(long extent) throws IOException {
        if (holders.groups().stream().anyMatch(g -> g.slices().isEmpty())) {
            if (holders.groups().stream().anyMatch(g -> g.slices().isPresent())) {
                throw file(0).malformed(
                                "`param_slice_mappings` of group %d in some ranks' files only"
                                        .formatted(number),
                                "it in each");
            }
            findings.add(
                    new Finding(
                            place(),
                            "no `param_slice_mappings`: the parameters are taken to lie in the"
                                    + " order of `param_shapes`"));
            return listed;
        }
        List<Member> mapped = new FlatOrder(holders, listed, number, extent).members();
        if (!mapped.equals(listed)) {
            if (!RoundRobin.dealt(mapped, parts()).equals(listed)) {
                throw file(0).malformed(
                                "`param_slice_mappings` of group %d names the parameters in an order"
                                                .formatted(number)
                                        + " that is not `param_shapes`'",
                                "the same order, or the one that round_robin_gradients deals it to",
                                "");
            }
            findings.add(
                    new Finding(
                            place(),
                            "round_robin_gradients: the parameters lie in the order of"
                                    + " `param_shapes`; `param_slice_mappings` tells of the model's"
                                    + " order and not of the file"));
        }
        return listed;
    }

    /// States that are flat tensors on every rank; the rest is told of once.
    private Set<String> flatStates(long extent) throws MalformedFileException {
        Set<String> names = new LinkedHashSet<>();
        holders.groups().forEach(g -> names.addAll(g.states().keySet()));
        Set<String> flat = new LinkedHashSet<>();
        for (String name : names) {
            List<Integer> fitting = new ArrayList<>();
            List<Integer> others = new ArrayList<>();
            for (int p = 0; p < parts(); p++) {
                TensorEntry held = holders.groups().get(p).states().get(name);
                boolean fits =
                        held != null
                                && held.shape().rank() <= 1
                                && isPart(held.shape().count(), p, extent);
                (fits ? fitting : others).add(p);
            }
            if (others.isEmpty()) {
                flat.add(name);
            } else if (!fitting.isEmpty() && count > 0) {
                throw unlike(name, others.getFirst(), fitting.getFirst(), extent);
            }
        }
        tellOfOthers(names, flat);
        return flat;
    }

    private MalformedFileException unlike(String name, int p, int fitting, long extent) {
        TensorEntry held = holders.groups().get(p).states().get(name);
        return file(p).malformed(
                        held == null
                                ? "group %d has no `%s`".formatted(number, name)
                                : "`%s` of group %d has the shape %s"
                                        .formatted(name, number, held.shape()),
                        "%s elements, as %s has its part"
                                .formatted(lengths(p, extent), file(fitting).label()));
    }

    private void tellOfOthers(Set<String> names, Set<String> flat) {
        Set<String> left = new LinkedHashSet<>(names);
        left.removeAll(flat);
        holders.groups().forEach(g -> left.addAll(g.unread()));
        left.removeIf(name -> isSingle(name));
        if (!left.isEmpty()) {
            findings.add(
                    new Finding(
                            place(),
                            "states that are no flat tensors of the group's length stay in the file"
                                    + " as they are: %s".formatted(String.join(", ", left))));
        }
    }

    /// A tensor of one element on every rank that has it, where that is no part: a number.
    private boolean isSingle(String name) {
        return holders.groups().stream()
                .allMatch(
                        g -> {
                            TensorEntry held = g.states().get(name);
                            return held != null && held.shape().count() == 1;
                        });
    }

    private Part part(int p, long extent, Set<String> flat) throws IOException {
        OptimizerStates.Group group = holders.groups().get(p);
        Map<String, TensorEntry> states = new LinkedHashMap<>();
        if (group.master().isPresent()) {
            states.put(MASTER, flattened(group.master().get()));
        }
        Map<String, Scalar> scalars = new LinkedHashMap<>(group.scalars());
        for (Map.Entry<String, TensorEntry> state : group.states().entrySet()) {
            if (flat.contains(state.getKey())) {
                states.put(state.getKey(), flattened(state.getValue()));
            } else if (isSingle(state.getKey())) {
                scalars.put(state.getKey(), CheckpointFile.read(state.getValue()));
            }
        }
        return new Part(holders.places().get(p), extent, states, scalars);
    }

    /// The same elements in one dimension.
    private static TensorEntry flattened(TensorEntry tensor) {
        return tensor.shape().rank() == 1 || !tensor.isDense()
                ? tensor
                : TensorEntry.dense(
                        tensor.source(),
                        tensor.offset(),
                        tensor.dtype(),
                        Shape.of(tensor.shape().count()));
    }

    /// All parts of a group take the same steps.
    private void checkScalars(List<Part> parts) throws IOException {
        Map<String, Scalar> first = parts.getFirst().scalars();
        for (int p = 1; p < parts.size(); p++) {
            Map<String, Scalar> other = parts.get(p).scalars();
            if (!other.equals(first)) {
                throw new IncompleteCheckpointException(
                        file(p).path().toString(),
                        "the numbers of group %d are %s, and %s in %s"
                                .formatted(number, other, first, file(0).label()),
                        "the same step on every rank",
                        "a rank's file is of another save; copy that save's files again");
            }
        }
    }

    private String place() {
        return "%s group %d".formatted(file(0).label(), number);
    }

    private CheckpointFile file(int p) {
        return holders.files().get(p);
    }
}
