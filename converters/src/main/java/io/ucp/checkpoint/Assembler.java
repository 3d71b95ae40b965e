package io.ucp.checkpoint;

import io.ucp.bind.BoundParameter;
import io.ucp.bind.Shard;
import io.ucp.bind.Sharding;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.OptimizerMember;
import io.ucp.formats.Origin;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Places every tensor of an index in a parameter, by a bound spec, and proves that nothing is
/// missing: each copy of each state is covered, and every trainable parameter has the states of its
/// group.
public final class Assembler {
    private final CheckpointIndex index;
    private final Sharding sharding;
    private final ShardLookup lookup;
    private final List<GatheredParameter> gathered;
    private final List<Finding> findings = new ArrayList<>();

    private Assembler(CheckpointIndex index, Sharding sharding) {
        this.index = index;
        this.sharding = sharding;
        this.lookup = new ShardLookup(sharding);
        this.gathered = sharding.parameters().stream().map(GatheredParameter::new).toList();
    }

    /// A rank-sharded source.
    ///
    /// @param spec the text that the sharding was bound from, for the manifest
    /// @throws IncompleteCheckpointException where elements, states or ranks are missing
    public static Inventory assemble(CheckpointIndex index, Sharding sharding, String spec)
            throws IncompleteCheckpointException {
        return new Assembler(index, sharding).assemble(spec);
    }

    /// A source that holds every parameter whole.
    public static Inventory wholes(CheckpointIndex index) throws IncompleteCheckpointException {
        List<Parameter> parameters = new ArrayList<>();
        for (WholeParameter whole : index.wholes()) {
            Map<String, StateHolding> states = new LinkedHashMap<>();
            for (String state : whole.facts().states().keySet()) {
                states.put(state, holding(whole, state));
            }
            parameters.add(new Parameter(whole.facts(), states));
        }
        return new Inventory(index, parameters, index.carried(), index.origin(), index.findings());
    }

    private static StateHolding holding(WholeParameter whole, String state)
            throws IncompleteCheckpointException {
        String place = "%s: %s".formatted(whole.facts().name(), state);
        Shape shape = whole.facts().shape();
        List<WholeParameter.Placed> tensors = whole.states().getOrDefault(state, List.of());
        if (tensors.isEmpty()) {
            throw new IncompleteCheckpointException(place, "no tensor", "shape " + shape, "");
        }
        if (tensors.size() == 1 && !isOf(tensors.getFirst().tensor().shape(), shape)) {
            throw new IncompleteCheckpointException(
                    place, "shape " + tensors.getFirst().tensor().shape(), "shape " + shape, "");
        }
        DType dtype = tensors.getFirst().tensor().dtype();
        long held = 0;
        List<Fragment> fragments = new ArrayList<>();
        for (WholeParameter.Placed placed : tensors) {
            TensorEntry tensor = placed.tensor();
            held = Math.addExact(held, placed.piece().count());
            if (tensor.dtype() != dtype) {
                throw new IncompleteCheckpointException(
                        place,
                        "%s in %s and %s in %s"
                                .formatted(
                                        dtype,
                                        tensors.getFirst().tensor().source().path(),
                                        tensor.dtype(),
                                        tensor.source().path()),
                        "one dtype",
                        "");
            }
            fragments.add(
                    new Fragment(
                            tensor.source(),
                            tensor.offset(),
                            dtype,
                            tensor.isDense()
                                    ? tensors.size() == 1 ? Piece.whole(shape) : placed.piece()
                                    : placed.piece().lying(tensor.shape(), tensor.strides())));
        }
        if (held != shape.count()) {
            throw new IncompleteCheckpointException(
                    place,
                    "%d elements".formatted(held),
                    "%d, for shape %s".formatted(shape.count(), shape),
                    "a file is missing; copy the checkpoint again as a whole");
        }
        return new StateHolding(dtype, List.of(new Copy("", fragments)));
    }

    /// Whether a tensor is the parameter's: of its shape, or all its elements in one row.
    private static boolean isOf(Shape held, Shape whole) {
        return held.equals(whole) || (held.rank() == 1 && held.count() == whole.count());
    }

    private Inventory assemble(String spec) throws IncompleteCheckpointException {
        for (FlatGroup group : index.flatGroups()) {
            place(group);
        }
        for (HeldTensor held : index.tensors()) {
            place(held);
        }
        for (OptimizerMember member : index.members()) {
            place(member);
        }
        List<Parameter> parameters = new ArrayList<>();
        for (GatheredParameter parameter : gathered) {
            parameters.add(parameter.finish(index));
        }
        Completeness.check(parameters);
        List<CarriedFile> carried =
                CarriedBinding.bind(
                        index.carried(),
                        gathered.stream().flatMap(GatheredParameter::spans).toList());
        findings.addAll(index.findings());
        findings.addAll(Dropped.told(sharding.dropped()));
        findings.addAll(Averages.told(parameters));
        Origin origin =
                new Origin(
                        index.format(),
                        index.tag(),
                        index.stage(),
                        index.mesh(),
                        Optional.of(spec));
        return new Inventory(index, parameters, carried, origin, findings);
    }

    private void place(FlatGroup group) throws IncompleteCheckpointException {
        String place = "optimizer group %s at %s".formatted(group.number(), group.at());
        int parts = group.parts().size();
        // Position of the member in the group's flat order, or (each) in every rank's flat tensor.
        long position = 0;
        for (FlatGroup.Member member : group.members()) {
            long count = member.shape().count();
            long stretch = group.each() ? Math.ceilDiv(count, parts) : count;
            Optional<ShardLookup.Found> found =
                    lookup.find(member.name(), group.at(), member.shape(), place);
            if (found.isEmpty() && !sharding.dropped().containsKey(member.name())) {
                throw new IncompleteCheckpointException(
                        place,
                        "%s is in no parameter of the spec".formatted(member.name()),
                        "a rule that names it",
                        "add a `param` rule, or `drop` it by name");
            }
            if (found.isPresent()) {
                GatheredParameter parameter = gathered.get(found.get().parameter());
                parameter.optimizerGroup(group.optimizerGroup(), group.at());
                for (int r = 0; r < parts; r++) {
                    FlatGroup.Part part = group.parts().get(r);
                    parameter.scalars(part.scalars(), part.at());
                    long start = group.each() ? r * stretch : (r * part.partExtent() - position);
                    long from = Math.clamp(start, 0, count);
                    long to =
                            Math.clamp(
                                    start + (group.each() ? stretch : part.partExtent()), 0, count);
                    if (from < to) {
                        long at = group.each() ? position : position + from - r * part.partExtent();
                        place(found.get(), member, part, at, from, to);
                    }
                }
            }
            position += stretch;
        }
    }

    private void place(
            ShardLookup.Found found,
            FlatGroup.Member member,
            FlatGroup.Part part,
            long at,
            long from,
            long to)
            throws IncompleteCheckpointException {
        List<Piece> common = Span.cut(found.shard().pieces(), from, to);
        for (Map.Entry<String, TensorEntry> state : part.states().entrySet()) {
            TensorEntry tensor = state.getValue();
            if (at + to - from > tensor.shape().count()) {
                throw new IncompleteCheckpointException(
                        "%s: %s of %s at %s"
                                .formatted(
                                        tensor.source().path(),
                                        state.getKey(),
                                        found.bound().name(),
                                        part.at()),
                        "a flat tensor of %d elements".formatted(tensor.shape().count()),
                        "%d or more".formatted(at + to - from),
                        "");
            }
            Shard shard = lookup.of(found, state.getKey(), member.name(), part.at()).shard();
            List<Piece> pieces =
                    shard.equals(found.shard()) ? common : Span.cut(shard.pieces(), from, to);
            gathered.get(found.parameter())
                    .add(
                            Span.flat(
                                    tensor,
                                    at,
                                    shard.copy(),
                                    found.bound().name(),
                                    state.getKey(),
                                    pieces,
                                    to - from));
        }
    }

    private void place(OptimizerMember member) throws IncompleteCheckpointException {
        String canonical = index.hints().aliases().getOrDefault(member.name(), member.name());
        Optional<ShardLookup.Found> found = lookup.find(canonical, member.at());
        if (found.isPresent()) {
            GatheredParameter parameter = gathered.get(found.get().parameter());
            parameter.optimizerGroup(member.optimizerGroup(), member.at());
            parameter.scalars(member.scalars(), member.at());
        }
    }

    private void place(HeldTensor held) throws IncompleteCheckpointException {
        String place = held.tensor().source().path().toString();
        String canonical = index.hints().aliases().getOrDefault(held.name(), held.name());
        Optional<ShardLookup.Found> found =
                lookup.find(canonical, held.state(), held.at(), held.shape(), place);
        if (found.isEmpty()) {
            if (!sharding.dropped().containsKey(held.name())) {
                throw new IncompleteCheckpointException(
                        place,
                        "%s is in no parameter of the spec".formatted(held.name()),
                        "a rule that names it",
                        "add a `param` rule, or `drop` it by name");
            }
            return;
        }
        BoundParameter bound = found.get().bound();
        gathered.get(found.get().parameter())
                .addWhole(
                        Span.flat(
                                held.tensor(),
                                0,
                                found.get().shard().copy(),
                                bound.name(),
                                held.state(),
                                Span.cut(found.get().shard().pieces(), held.from(), held.to()),
                                held.to() - held.from()));
    }
}
