package io.ucp.formats.safetensors;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.hub.ModelConfig;
import io.ucp.formats.hub.ModelWeights;
import io.ucp.formats.hub.ShardSplit;
import io.ucp.formats.hub.SideFiles;
import io.ucp.formats.hub.WritingOptions;
import io.ucp.tensor.DType;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// The folder of a model for a state.
final class SafetensorsLayout {
    private final WriteRequest request;
    private final WritingOptions options;
    private final ModelConfig config;
    private final ModelWeights weights;
    private final long largest;
    private final List<TargetFile> files = new ArrayList<>();
    private final List<String> losses = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();

    private SafetensorsLayout(WriteRequest request) {
        this.request = request;
        this.options = WritingOptions.of(SafetensorsFormat.NAME, request.options());
        this.config = config(request.carried());
        this.weights = ModelWeights.of(request, options.dtype(), config);
        this.largest = options.maxShardSize().orElse(ShardSplit.STANDARD_SIZE);
    }

    private static ModelConfig config(List<CarriedFile> carried) {
        Optional<CarriedFile> file = SideFiles.config(carried);
        try {
            return file.isPresent() && file.get().file().isPresent()
                    ? ModelConfig.read(file.get().file().get())
                    : ModelConfig.NONE;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static TargetTree of(WriteRequest request) {
        return new SafetensorsLayout(request).tree();
    }

    private TargetTree tree() {
        Optional<List<TargetFile>> kept =
                options.isPlain() ? KeptFiles.of(request, weights) : Optional.empty();
        files.addAll(kept.orElseGet(this::model));
        notes.addAll(weights.notes());
        if (!weights.missing().isEmpty()) {
            losses.add(
                    "%s has neither a weight nor a master: left out with all states%s"
                            .formatted(
                                    weights.missing().getFirst(),
                                    more(weights.missing().size() - 1)));
        }
        states();
        sideFiles();
        return new TargetTree(files, _ -> List.of(), List.of(), losses, notes);
    }

    private List<TargetFile> model() {
        NewFiles model = new NewFiles();
        for (ParameterFacts p : request.parameters()) {
            Elementwise weight = weights.byParameter().get(p.name());
            if (weight != null) {
                model.add(p.name(), p.realShape(), weight);
            }
        }
        TreeMap<String, String> metadata = new TreeMap<>();
        metadata.put("format", "pt");
        metadata.putAll(aliases());
        return model.files("model", largest, metadata, Map.of());
    }

    /// Names that are stored once, where `config.json` does not say so.
    private Map<String, String> aliases() {
        Set<String> names = weights.byParameter().keySet();
        Map<String, String> tied = config.tied(names);
        Map<String, String> aliases = new TreeMap<>();
        for (ParameterFacts p : request.parameters()) {
            for (String alias : p.aliases()) {
                if (names.contains(p.name()) && !p.name().equals(tied.get(alias))) {
                    aliases.put(alias, p.name());
                }
            }
        }
        return aliases;
    }

    private void states() {
        List<ParameterFacts> held =
                request.parameters().stream()
                        .filter(p -> weights.byParameter().containsKey(p.name()))
                        .toList();
        Set<String> tensors = new LinkedHashSet<>();
        Set<String> scalars = new TreeSet<>();
        for (ParameterFacts p : held) {
            tensors.addAll(p.states().keySet());
            scalars.addAll(p.scalars().keySet());
        }
        tensors.remove(ModelWeights.WEIGHT);
        if (tensors.isEmpty() && scalars.isEmpty()) {
            return;
        }
        if (!options.withOptimizer()) {
            Set<String> all = new TreeSet<>(tensors);
            all.addAll(scalars);
            losses.add(
                    "left out: %s of %d parameters (--with-optimizer keeps them)"
                            .formatted(
                                    String.join(", ", all),
                                    held.stream().filter(SafetensorsLayout::hasStates).count()));
            return;
        }
        NewFiles states = new NewFiles();
        for (String state : tensors) {
            for (ParameterFacts p : held) {
                DType dtype = p.states().get(state);
                if (dtype != null) {
                    states.add(
                            StateFiles.name(state, p.name()),
                            p.realShape(),
                            ModelWeights.elements(p, state, dtype));
                }
            }
        }
        for (ParameterFacts p : held) {
            p.scalars()
                    .forEach((name, value) -> states.add(StateFiles.name(name, p.name()), value));
        }
        Map<String, String> metadata = new LinkedHashMap<>();
        metadata.put("format", "pt");
        metadata.put(StateFiles.SCALARS_KEY, String.join(",", scalars));
        metadata.put(StateFiles.VERSION_KEY, StateFiles.VERSION);
        files.addAll(
                states.files(
                        StateFiles.STEM,
                        largest,
                        metadata,
                        Map.of(
                                StateFiles.FACTS_KEY,
                                StateFiles.Facts.of(request.iteration(), held).text())));
    }

    private static boolean hasStates(ParameterFacts p) {
        return !p.scalars().isEmpty()
                || p.states().keySet().stream().anyMatch(s -> !s.equals(ModelWeights.WEIGHT));
    }

    private void sideFiles() {
        Set<String> taken = new HashSet<>();
        files.forEach(file -> taken.add(file.path()));
        List<String> left = new ArrayList<>();
        for (CarriedFile file : request.carried()) {
            Optional<String> name = SideFiles.nameOf(file);
            if (name.isPresent() && taken.add(name.get())) {
                files.add(SideFiles.written(file, name.get()));
            } else if (!file.role().equals(KeptFiles.ROLE)) {
                left.add(file.path());
            }
        }
        if (!left.isEmpty()) {
            losses.add(
                    "left behind, for a model's folder has no place for them: %s%s"
                            .formatted(
                                    String.join(", ", left.subList(0, Math.min(4, left.size()))),
                                    left.size() > 4
                                            ? " and %d more files".formatted(left.size() - 4)
                                            : ""));
        }
        if (!taken.contains(ModelConfig.FILE)) {
            notes.add(
                    "the source has no %s: libraries that make the model from its folder need one"
                            .formatted(ModelConfig.FILE));
        }
    }

    private static String more(int count) {
        return count == 0 ? "" : ", as have %d more parameters".formatted(count);
    }
}
