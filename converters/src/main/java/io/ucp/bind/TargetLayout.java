package io.ucp.bind;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.ParameterFacts;
import io.ucp.layout.Chain;
import io.ucp.layout.Chain.Held;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.Layout;
import io.ucp.mesh.Mesh;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// What every rank of a job is to hold of every parameter, and so where a reader of the files that
/// the job's ranks get finds each element again.
public final class TargetLayout {
    /// @param whole shape in the target, padding included
    /// @param chain of the parameter over the job's mesh
    /// @param localName in the files of the ranks that hold it
    record Laid(ParameterFacts facts, Shape whole, Chain chain, String localName) {}

    /// What the ranks at a place hold.
    record Place(Coordinate at, Held held) {}

    private final Mesh mesh;
    private final List<Laid> parameters = new ArrayList<>();

    TargetLayout(Mesh mesh) {
        this.mesh = mesh;
    }

    void add(Laid laid) {
        parameters.add(laid);
    }

    /// The places that hold some of a parameter, on the axes that files tell ranks apart by.
    List<Place> places(Laid laid) {
        List<Place> places = new ArrayList<>();
        for (Coordinate at : mesh.coordinates(axes(laid.chain))) {
            laid.chain.at(laid.whole, mesh, at).ifPresent(h -> places.add(new Place(at, h)));
        }
        return places;
    }

    private List<String> axes(Chain chain) {
        boolean expert = chain.axes().stream().anyMatch(a -> mesh.factors(a).contains("ep"));
        List<String> axes = new ArrayList<>(List.of("pp"));
        axes.add(expert && mesh.has("etp") ? "etp" : "tp");
        if (expert) {
            axes.add("ep");
        }
        return axes;
    }

    /// The rules of the job bound to its files, as if a spec had said them. Every copy must equal
    /// the others: what was averaged or taken first was given to all.
    ///
    /// @param index of the job's files
    public Sharding over(CheckpointIndex index) {
        Map<String, String> known = new HashMap<>(index.hints().aliases());
        for (Laid laid : parameters) {
            laid.facts.aliases().forEach(alias -> known.put(alias, laid.facts.name()));
        }
        Aliases aliases = new Aliases(known);
        Holding.of(index, mesh).stream()
                .filter(h -> aliases.isAlias(h.name()))
                .forEach(aliases::note);
        List<BoundParameter> bound = parameters.stream().map(this::bound).toList();
        return new Sharding(
                mesh, aliases.attach(bound, new Problems()), Map.of(), Map.of(), List.of());
    }

    private BoundParameter bound(Laid laid) {
        Copies copies = Copies.of(replicated(laid.chain), mesh, Set.of());
        List<Shard> shards = new ArrayList<>();
        for (Place place : places(laid)) {
            Held held = place.held;
            shards.add(
                    new Shard(
                            laid.localName,
                            place.at,
                            held.shape(),
                            held.region().pieces(),
                            copies.number(place.at)));
        }
        return new BoundParameter(
                laid.facts.name(),
                laid.whole,
                laid.facts.realShape(),
                laid.facts.split(),
                shards,
                copies.replicas(),
                Map.of(),
                !laid.facts.trainable(),
                Map.of(),
                List.of(),
                "the layout of the job");
    }

    /// The chain with every axis that tells ranks apart: what it does not speak of, all hold.
    private Chain replicated(Chain chain) {
        Set<String> said = new LinkedHashSet<>();
        List<Step> steps = new ArrayList<>();
        for (Step step : chain.steps()) {
            said.addAll(step.axis().isEmpty() ? List.of() : mesh.factors(step.axis()));
            steps.add(
                    step.layout() instanceof Layout.Averaged
                            ? new Step(step.axis(), new Layout.Replicated())
                            : step);
        }
        for (String axis : axes(chain)) {
            if (mesh.has(axis) && !said.containsAll(mesh.factors(axis))) {
                steps.add(new Step(axis, new Layout.Replicated()));
            }
        }
        return new Chain(steps);
    }
}
