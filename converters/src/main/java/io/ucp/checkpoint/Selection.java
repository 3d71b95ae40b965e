package io.ucp.checkpoint;

import io.ucp.bind.Naming;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.Finding;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// What a spec keeps of parameters that are known whole, and the dtypes it gives them.
public final class Selection {
    private Selection() {}

    /// The parameters that are not dropped, with their casts, under the names that they have.
    ///
    /// @throws RefusedException where a file that is carried along is made of what is dropped
    public static Inventory of(Inventory inventory, Naming naming) {
        if (naming.dropped().isEmpty() && naming.casts().isEmpty()) {
            return inventory;
        }
        inventory.carried().forEach(file -> requireWhole(file, naming.dropped()));
        List<Parameter> kept = new ArrayList<>();
        for (Parameter parameter : inventory.parameters()) {
            if (!naming.dropped().containsKey(parameter.name())) {
                Map<String, DType> casts = naming.casts().getOrDefault(parameter.name(), Map.of());
                kept.add(casts.isEmpty() ? parameter : cast(parameter, casts));
            }
        }
        List<Finding> findings = new ArrayList<>(inventory.findings());
        findings.addAll(Dropped.told(naming.dropped()));
        return new Inventory(
                inventory.index(), kept, inventory.carried(), inventory.origin(), findings);
    }

    private static void requireWhole(CarriedFile file, Map<String, String> dropped) {
        file.storages()
                .forEach(
                        (_, storage) -> {
                            for (Content content : storage.content()) {
                                if (content instanceof Content.Elements(_, var of)
                                        && dropped.containsKey(of.parameter())) {
                                    throw new RefusedException(
                                            "%s: %s".formatted(file.path(), of.parameter()),
                                            "a file that is carried along and made of what the spec"
                                                    + " drops (%s)"
                                                            .formatted(dropped.get(of.parameter())),
                                            "files that stand without it",
                                            "drop it where the source is read rank by rank, or"
                                                    + " keep it");
                                }
                            }
                        });
    }

    /// A digest is of bytes that are no more.
    private static Parameter cast(Parameter parameter, Map<String, DType> casts) {
        ParameterFacts p = parameter.facts();
        Map<String, DType> states = new LinkedHashMap<>(p.states());
        Map<String, String> digests = new LinkedHashMap<>(p.digests());
        casts.forEach(
                (state, dtype) -> {
                    if (states.get(state) != dtype) {
                        states.put(state, dtype);
                        digests.remove(state);
                        digests.remove(ParameterFacts.withPadding(state));
                    }
                });
        return new Parameter(
                new ParameterFacts(
                        p.name(),
                        p.shape(),
                        p.realShape(),
                        states,
                        p.scalars(),
                        p.split(),
                        p.trainable(),
                        p.buffer(),
                        p.optimizerGroup(),
                        p.aliases(),
                        digests,
                        p.notes()),
                parameter.states());
    }
}
