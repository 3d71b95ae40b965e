package io.ucp.formats.safetensors;

import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.hub.FolderLayout;
import io.ucp.formats.hub.ModelWeights;
import io.ucp.formats.hub.ShardSplit;
import io.ucp.formats.hub.WritingOptions;
import io.ucp.tensor.DType;

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
    private final FolderLayout folder;
    private final ModelWeights weights;
    private final long largest;

    private SafetensorsLayout(WriteRequest request) {
        this.request = request;
        this.options = WritingOptions.of(SafetensorsFormat.NAME, request.options());
        this.folder = FolderLayout.of(request, options);
        this.weights = folder.weights();
        this.largest = options.maxShardSize().orElse(ShardSplit.STANDARD_SIZE);
    }

    static TargetTree of(WriteRequest request) {
        SafetensorsLayout layout = new SafetensorsLayout(request);
        Optional<List<TargetFile>> kept =
                layout.options.isPlain() ? KeptFiles.of(request, layout.weights) : Optional.empty();
        kept.orElseGet(layout::model).forEach(layout.folder::add);
        if (layout.folder.writesStates()) {
            layout.states().forEach(layout.folder::add);
        }
        return layout.folder.tree();
    }

    private List<TargetFile> model() {
        NewFiles model = new NewFiles();
        for (ParameterFacts p : folder.parameters()) {
            Elementwise weight =
                    Optional.ofNullable(weights.byParameter().get(p.name())).orElseThrow();
            model.add(p.name(), p.realShape(), weight);
        }
        TreeMap<String, String> metadata = new TreeMap<>();
        metadata.put("format", "pt");
        metadata.putAll(aliases());
        return model.files("model", largest, metadata, Map.of());
    }

    /// Names that are stored once, where `config.json` does not say so.
    private Map<String, String> aliases() {
        Map<String, String> tied = folder.config().tied(weights.byParameter().keySet());
        Map<String, String> aliases = new TreeMap<>();
        for (ParameterFacts p : folder.parameters()) {
            for (String alias : p.aliases()) {
                if (!p.name().equals(tied.get(alias))) {
                    aliases.put(alias, p.name());
                }
            }
        }
        return aliases;
    }

    private List<TargetFile> states() {
        List<ParameterFacts> held = folder.parameters();
        Set<String> tensors = new LinkedHashSet<>();
        Set<String> scalars = new TreeSet<>();
        for (ParameterFacts p : held) {
            tensors.addAll(p.states().keySet());
            scalars.addAll(p.scalars().keySet());
        }
        tensors.remove(ModelWeights.WEIGHT);
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
        String facts = StateFiles.Facts.of(request.iteration(), held).text();
        return states.files(
                StateFiles.STEM, largest, metadata, Map.of(StateFiles.FACTS_KEY, facts));
    }
}
