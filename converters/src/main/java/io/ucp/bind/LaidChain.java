package io.ucp.bind;

import io.ucp.formats.Coordinate;
import io.ucp.layout.Chain;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.layout.Layout;
import io.ucp.layout.Replica;
import io.ucp.mesh.Mesh;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

/// A chain on a mesh, with what was asked of it before: the layers of a model are laid out alike,
/// so that most parameters share what they come to.
final class LaidChain {
    /// What a rank holds of a parameter.
    ///
    /// @param shape of its local tensor
    /// @param pieces that tile it
    record Share(Shape shape, List<Piece> pieces) {}

    private final Chain chain;
    private final Mesh mesh;
    private final List<Coordinate> places;
    private final Map<List<Shape>, Shape> wholes = new HashMap<>();
    private final Map<Shape, Map<Integer, Share>> shares = new HashMap<>();
    private final Map<Set<String>, Numbered> copies = new HashMap<>();

    LaidChain(Chain chain, Mesh mesh) {
        this.chain = chain;
        this.mesh = mesh;
        Set<String> named = new LinkedHashSet<>();
        chain.axes().forEach(a -> named.addAll(mesh.factors(a)));
        List<String> ordered = new ArrayList<>();
        for (var axis : mesh.axes()) {
            if (named.remove(axis.axis())) {
                ordered.add(axis.axis());
            }
        }
        ordered.addAll(named);
        this.places = mesh.coordinates(ordered, this::mayHold);
    }

    /// Whether no step places the parameter elsewhere, as far as the coordinate says.
    private boolean mayHold(Coordinate at) {
        for (Step step : chain.steps()) {
            if (step.layout() instanceof Layout.Placed(var indices)) {
                OptionalInt index = mesh.index(step.axis(), at);
                if (index.isPresent() && !indices.contains(index.getAsInt())) {
                    return false;
                }
            }
        }
        return true;
    }

    /// Where it says that a parameter is held, on its axes, in the order of the mesh.
    List<Coordinate> places() {
        return places;
    }

    /// As [Chain#whole].
    ///
    /// @param held at each of the [#places]
    /// @throws ImpossibleLayoutException where they do not go together
    Shape whole(List<Shape> held) {
        Shape known = wholes.get(held);
        if (known != null) {
            return known;
        }
        Map<Coordinate, Shape> local = new LinkedHashMap<>();
        for (int p = 0; p < places.size(); p++) {
            local.put(labelled(places.get(p)), held.get(p));
        }
        Shape whole = chain.whole(local, mesh);
        wholes.put(held, whole);
        return whole;
    }

    /// A coordinate by the names that the chain uses: a product under its own name.
    private Coordinate labelled(Coordinate at) {
        Coordinate label = Coordinate.NONE;
        for (String axis : chain.axes()) {
            label = label.with(axis, mesh.index(axis, at).orElse(0));
        }
        return label;
    }

    /// What is held of a parameter at one of the [#places], by its number.
    ///
    /// @throws ImpossibleLayoutException where it cannot be laid out so
    Share share(Shape whole, int place) {
        return shares.computeIfAbsent(whole, _ -> new HashMap<>())
                .computeIfAbsent(
                        place,
                        p -> {
                            Chain.Held held = chain.at(whole, mesh, places.get(p)).orElseThrow();
                            return new Share(held.shape(), held.region().pieces());
                        });
    }

    /// The copies of a parameter, and which of them each place belongs to.
    record Numbered(List<Replica> replicas, List<Integer> ofPlace) {}

    /// @param takeFirst axes whose ranks may hold other values than the first
    Numbered copies(Set<String> takeFirst) {
        return copies.computeIfAbsent(
                takeFirst,
                first -> {
                    Copies all = Copies.of(chain, mesh, first);
                    return new Numbered(all.replicas(), places.stream().map(all::number).toList());
                });
    }
}
