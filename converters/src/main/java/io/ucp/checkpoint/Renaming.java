package io.ucp.checkpoint;

import io.ucp.bind.Naming;
import io.ucp.bind.Renamed;
import io.ucp.bind.Renamed.Side;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.layout.Replica;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;

/// Gives the parameters of a source other names, and their elements other places, without touching
/// a byte: where each element lies is all that changes.
public final class Renaming {
    private final Inventory inventory;
    private final Map<String, Renamed> byName = new HashMap<>();
    private final Map<String, Parameter> parameters = new HashMap<>();
    private final Carrying carrying = new Carrying();

    private Renaming(Inventory inventory, List<Renamed> renames) {
        this.inventory = inventory;
        inventory.parameters().forEach(p -> parameters.put(p.name(), p));
        for (Renamed renamed : renames) {
            renamed.left().forEach(side -> byName.put(side.name(), renamed));
        }
    }

    /// The same state under the names on the right.
    ///
    /// @param renames bound to this source; [Renamed#inverse] of each, to what this gave, is the
    ///   way back
    /// @throws IncompleteCheckpointException where parameters that become one differ in more than
    ///   their elements
    public static Inventory apply(Inventory inventory, List<Renamed> renames)
            throws IncompleteCheckpointException {
        return renames.isEmpty() ? inventory : new Renaming(inventory, renames).renamed();
    }

    /// The same state by what a spec says of its names: what it drops is left out and told, what it
    /// casts gets its dtype, the rest its other names.
    ///
    /// @throws RefusedException where a file that is carried along is made of what is dropped
    public static Inventory apply(Inventory inventory, Naming naming)
            throws IncompleteCheckpointException {
        return apply(Selection.of(inventory, naming), naming.renames());
    }

    /// The same with the files that are carried along marked as of other names, or not.
    ///
    /// @param home the parameters have the names that the objects of these files have
    public static Inventory marked(Inventory inventory, boolean home) {
        String before = CarriedFile.BEFORE_RENAME;
        List<CarriedFile> carried = new ArrayList<>();
        for (CarriedFile file : inventory.carried()) {
            String role =
                    file.role().startsWith(before)
                            ? file.role().substring(before.length())
                            : file.role();
            carried.add(
                    file.root().isEmpty()
                            ? file
                            : new CarriedFile(
                                    file.path(),
                                    home ? role : before + role,
                                    file.at(),
                                    file.file(),
                                    file.root(),
                                    file.storages()));
        }
        return new Inventory(
                inventory.index(),
                inventory.parameters(),
                carried,
                inventory.origin(),
                inventory.findings());
    }

    private Inventory renamed() throws IncompleteCheckpointException {
        List<Parameter> out = new ArrayList<>();
        LinkedHashSet<Renamed> done = new LinkedHashSet<>();
        for (Parameter parameter : inventory.parameters()) {
            Renamed renamed = byName.get(parameter.name());
            if (renamed == null) {
                out.add(parameter);
            } else if (done.add(renamed)) {
                List<Parameter> left = new ArrayList<>();
                for (Side side : renamed.left()) {
                    Parameter held = parameters.get(side.name());
                    if (held == null) {
                        throw new IncompleteCheckpointException(
                                side.name(), "no such parameter", "one, for " + renamed.rule(), "");
                    }
                    left.add(held);
                }
                alike(renamed, left);
                for (int j = 0; j < renamed.right().size(); j++) {
                    out.add(right(renamed, left, j));
                }
            }
        }
        List<CarriedFile> carried = RenamedCarried.of(inventory, byName, carrying);
        return new Inventory(
                inventory.index(), out, carried, inventory.origin(), inventory.findings());
    }

    private static void alike(Renamed renamed, List<Parameter> left)
            throws IncompleteCheckpointException {
        ParameterFacts first = left.getFirst().facts();
        for (Parameter parameter : left) {
            ParameterFacts facts = parameter.facts();
            same(renamed, first, facts, "states", first.states(), facts.states());
            same(renamed, first, facts, "scalars", first.scalars(), facts.scalars());
            same(
                    renamed,
                    first,
                    facts,
                    "optimizer group",
                    first.optimizerGroup(),
                    facts.optimizerGroup());
            same(renamed, first, facts, "trainable", first.trainable(), facts.trainable());
            same(renamed, first, facts, "buffer", first.buffer(), facts.buffer());
        }
    }

    private static void same(
            Renamed renamed,
            ParameterFacts first,
            ParameterFacts other,
            String what,
            Object expected,
            Object found)
            throws IncompleteCheckpointException {
        if (!expected.equals(found)) {
            throw new IncompleteCheckpointException(
                    "%s: %s".formatted(other.name(), what),
                    found.toString(),
                    "%s, as %s has: both become %s"
                            .formatted(expected, first.name(), renamed.right().getFirst().name()),
                    "leave out the join of " + renamed.rule());
        }
    }

    private Parameter right(Renamed renamed, List<Parameter> left, int j)
            throws IncompleteCheckpointException {
        ParameterFacts facts = left.getFirst().facts();
        Side side = renamed.right().get(j);
        Map<String, StateHolding> states = new LinkedHashMap<>();
        for (Map.Entry<String, DType> state : facts.states().entrySet()) {
            List<StateHolding> held = new ArrayList<>();
            for (Parameter parameter : left) {
                StateHolding holding = parameter.states().get(state.getKey());
                if (holding != null) {
                    held.add(holding);
                }
            }
            states.put(
                    state.getKey(),
                    new StateHolding(state.getValue(), copies(renamed, held, j, state.getKey())));
        }
        List<String> notes =
                left.stream().flatMap(p -> p.facts().notes().stream()).distinct().toList();
        return new Parameter(
                new ParameterFacts(
                        side.name(),
                        side.shape(),
                        side.realShape(),
                        facts.states(),
                        facts.scalars(),
                        side.split(),
                        facts.trainable(),
                        facts.buffer(),
                        facts.optimizerGroup(),
                        side.aliases(),
                        renamed.isPlain() ? facts.digests() : Map.of(),
                        notes),
                states);
    }

    /// A copy for each of those that the most copied one has: where another has one copy, that is
    /// in all of them.
    private List<Copy> copies(Renamed renamed, List<StateHolding> left, int j, String state)
            throws IncompleteCheckpointException {
        StateHolding most = left.getFirst();
        for (StateHolding holding : left) {
            most = holding.copies().size() > most.copies().size() ? holding : most;
        }
        List<Copy> out = new ArrayList<>();
        for (int c = 0; c < most.copies().size(); c++) {
            Replica replica = most.copies().get(c).replica();
            List<Fragment> fragments = new ArrayList<>();
            for (int i = 0; i < left.size(); i++) {
                List<Copy> copies = left.get(i).copies();
                Copy copy = copies.get(copies.size() == 1 ? 0 : Math.min(c, copies.size() - 1));
                if (copies.size() > 1
                        && (copies.size() != most.copies().size()
                                || !copy.replica().equals(replica))) {
                    throw new IncompleteCheckpointException(
                            "%s: %s at %s"
                                    .formatted(renamed.left().get(i).name(), state, copy.label()),
                            "%d copies".formatted(copies.size()),
                            "one, or the %d of the others that it is joined with"
                                    .formatted(most.copies().size()),
                            "leave out the join of " + renamed.rule());
                }
                for (Fragment fragment : copy.fragments()) {
                    for (Piece piece : carrying.carry(renamed, i, j, fragment.piece())) {
                        fragments.add(
                                new Fragment(
                                        fragment.source(),
                                        fragment.offset(),
                                        fragment.dtype(),
                                        piece));
                    }
                }
            }
            out.add(new Copy(replica, fragments));
        }
        return out;
    }
}
