package io.ucp.bind;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.OptimizerMember;
import io.ucp.mesh.Mesh;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/// What the files of one rank hold under one name.
///
/// @param name as on disk
/// @param at on the plain axes of the mesh, as far as the files say
/// @param shape of the shard
/// @param states of it, scalars included
/// @param tensors those of the states that are tensors
/// @param group number of its optimizer group, -1 where it is a tensor of its own
record Holding(
        String name,
        Coordinate at,
        Shape shape,
        Set<String> states,
        Set<String> tensors,
        int group) {

    private record Member(String name, Coordinate at) {}

    /// All of a checkpoint: tensors of their own first, in the order of the files, then the members
    /// of flat groups.
    static List<Holding> of(CheckpointIndex index, Mesh mesh) {
        List<Holding> all = new ArrayList<>();
        Map<Member, OptimizerMember> members = new HashMap<>();
        index.members().forEach(m -> members.put(new Member(m.name(), m.at()), m));
        Map<Coordinate, Coordinate> onAxes = new HashMap<>();
        for (HeldTensor t : index.tensors()) {
            Set<String> own = Set.of(t.state());
            Set<String> states = own;
            Optional<OptimizerMember> member =
                    Optional.ofNullable(members.get(new Member(t.name(), t.at())))
                            .filter(_ -> !t.state().equals(StateRules.WEIGHT));
            if (member.isPresent()) {
                states = new LinkedHashSet<>(own);
                states.addAll(member.get().scalars().keySet());
            }
            all.add(
                    new Holding(
                            t.name(),
                            onAxes.computeIfAbsent(t.at(), at -> onAxes(at, mesh)),
                            t.shape(),
                            states,
                            own,
                            member.map(OptimizerMember::optimizerGroup).orElse(-1)));
        }
        for (FlatGroup g : index.flatGroups()) {
            Set<String> tensors = new LinkedHashSet<>();
            g.parts().forEach(p -> tensors.addAll(p.states().keySet()));
            Set<String> states = new LinkedHashSet<>(tensors);
            for (FlatGroup.Part part : g.parts()) {
                states.addAll(part.scalars().keySet());
            }
            Coordinate at = onAxes.computeIfAbsent(g.at(), a -> onAxes(a, mesh));
            for (FlatGroup.Member m : g.members()) {
                all.add(new Holding(m.name(), at, m.shape(), states, tensors, g.optimizerGroup()));
            }
        }
        return all;
    }

    /// What a label says of the plain axes.
    static Coordinate onAxes(Coordinate at, Mesh mesh) {
        Coordinate on = Coordinate.NONE;
        for (var axis : mesh.axes()) {
            OptionalInt index = mesh.index(axis.axis(), at);
            if (index.isPresent()) {
                on = on.with(axis.axis(), index.getAsInt());
            }
        }
        return on;
    }
}
