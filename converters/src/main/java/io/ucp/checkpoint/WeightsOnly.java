package io.ucp.checkpoint;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.Finding;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// A model without what its optimizer knows: of every parameter the model's own copy, or the master
/// where there is no other.
public final class WeightsOnly {
    private static final String WEIGHT = "weight";
    private static final String MASTER = "fp32";

    /// Files of DeepSpeed's that are the optimizer's alone.
    private static final Set<String> OPTIMIZERS =
            Set.of("optimizer", "expert_optimizer", "optimizer_state");

    private WeightsOnly() {}

    /// @throws RefusedException where a file that is carried along is made of the optimizer's
    ///   states
    public static Inventory of(Inventory inventory) {
        Map<String, Set<String>> kept = new HashMap<>();
        Set<String> left = new HashSet<>();
        List<Parameter> parameters = new ArrayList<>();
        for (Parameter parameter : inventory.parameters()) {
            Parameter own = of(parameter);
            left.addAll(parameter.states().keySet());
            left.addAll(parameter.facts().scalars().keySet());
            kept.put(own.name(), own.states().keySet());
            parameters.add(own);
        }
        parameters.forEach(p -> left.removeAll(p.states().keySet()));
        List<CarriedFile> carried = new ArrayList<>();
        for (CarriedFile file : inventory.carried()) {
            if (!OPTIMIZERS.contains(role(file))) {
                carried.add(without(file, kept));
            }
        }
        List<Finding> findings = new ArrayList<>(inventory.findings());
        findings.add(
                new Finding(
                        "--weights-only",
                        "left out, with the optimizer's files: "
                                + String.join(", ", left.stream().sorted().toList())));
        return new Inventory(inventory.index(), parameters, carried, inventory.origin(), findings);
    }

    /// As before any renaming.
    private static String role(CarriedFile file) {
        return file.role().startsWith(CarriedFile.BEFORE_RENAME)
                ? file.role().substring(CarriedFile.BEFORE_RENAME.length())
                : file.role();
    }

    private static Parameter of(Parameter parameter) {
        ParameterFacts p = parameter.facts();
        String own = p.states().containsKey(WEIGHT) ? WEIGHT : MASTER;
        if (!p.states().containsKey(own)) {
            throw new RefusedException(
                    p.name(),
                    "neither a weight nor a master",
                    "one of them, to be its weight",
                    "leave --weights-only out");
        }
        return new Parameter(
                new ParameterFacts(
                        p.name(),
                        p.shape(),
                        p.realShape(),
                        only(p.states(), own),
                        Map.of(),
                        p.split(),
                        p.trainable(),
                        p.buffer(),
                        -1,
                        p.aliases(),
                        only(p.digests(), own, ParameterFacts.withPadding(own)),
                        p.notes()),
                only(parameter.states(), own));
    }

    private static <T> Map<String, T> only(Map<String, T> all, String... keys) {
        Map<String, T> kept = new LinkedHashMap<>(all);
        kept.keySet().retainAll(List.of(keys));
        return kept;
    }

    /// Jobs without ZeRO keep the optimizer beside the weights.
    private static CarriedFile without(CarriedFile file, Map<String, Set<String>> kept) {
        Map<String, CarriedFile.Storage> storages = new LinkedHashMap<>(file.storages());
        storages.values().removeIf(s -> s.content().stream().anyMatch(c -> isLeft(c, kept)));
        if (storages.size() == file.storages().size()) {
            return file;
        }
        return Optional.of(file)
                .filter(f -> role(f).equals("model_states"))
                .flatMap(f -> f.withNone("optimizer", storages))
                .orElseThrow(
                        () ->
                                new RefusedException(
                                        file.path(),
                                        "a file that is carried along and made of the optimizer's"
                                                + " states",
                                        "weights alone (--weights-only)",
                                        "--to safetensors or torch, which leave such files out"));
    }

    private static boolean isLeft(Content content, Map<String, Set<String>> kept) {
        return content instanceof Content.Elements(_, var of)
                && !kept.getOrDefault(of.parameter(), Set.of()).contains(of.state());
    }
}
