package io.ucp.formats.statedict;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.hub.FolderLayout;
import io.ucp.formats.hub.ModelWeights;
import io.ucp.formats.hub.ShardSplit;
import io.ucp.formats.hub.WritingOptions;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/// The state dict for a state: the source's own files where it had such, else `pytorch_model.bin`.
final class StateDictLayout {
    private final WriteRequest request;
    private final WritingOptions options;
    private final FolderLayout folder;
    private final ModelWeights weights;

    private StateDictLayout(WriteRequest request) {
        this.request = request;
        this.options = WritingOptions.of(StateDictFormat.NAME, request.options());
        this.folder = FolderLayout.of(request, options);
        this.weights = folder.weights();
    }

    static TargetTree of(WriteRequest request) {
        StateDictLayout layout = new StateDictLayout(request);
        List<CarriedFile> kept = layout.options.isPlain() ? layout.kept() : List.of();
        if (kept.isEmpty()) {
            layout.model();
            layout.states();
        } else {
            kept.forEach(layout::again);
        }
        return layout.folder.tree();
    }

    // ---- the source's own files ----

    /// The files of a source of this form; none where they do not hold every state that there is.
    private List<CarriedFile> kept() {
        List<CarriedFile> own =
                request.carried().stream()
                        .filter(
                                f ->
                                        f.role().equals(CarriedFile.FORM)
                                                || f.role().equals(StateDictIndex.ROLE))
                        .filter(f -> f.root().isEmpty() || !f.storages().isEmpty())
                        .filter(f -> !f.path().endsWith(".safetensors.index.json"))
                        .toList();
        Map<String, Set<String>> held = new HashMap<>();
        for (CarriedFile file : own) {
            file.storages().values().stream()
                    .flatMap(storage -> storage.content().stream())
                    .forEach(
                            content -> {
                                if (content instanceof Content.Elements(_, Elementwise of)) {
                                    held.computeIfAbsent(of.parameter(), _ -> new HashSet<>())
                                            .add(of.state());
                                }
                            });
        }
        for (ParameterFacts p : request.parameters()) {
            boolean all =
                    p.shape().count() == 0
                            || held.getOrDefault(p.name(), Set.of())
                                    .containsAll(p.states().keySet());
            if (!all) {
                return List.of();
            }
        }
        return own;
    }

    private void again(CarriedFile file) {
        folder.add(
                file.root().isPresent()
                        ? new TorchBuilder(file.storages()).file(file.path(), file.root().get())
                        : FolderLayout.copied(file));
        folder.take(file);
        folder.keepsStates();
    }

    // ---- a state of any other source ----

    private void model() {
        Map<String, ParameterFacts> facts = new HashMap<>();
        Map<String, Long> sizes = new LinkedHashMap<>();
        for (ParameterFacts p : request.parameters()) {
            Elementwise weight = weights.byParameter().get(p.name());
            if (weight != null) {
                facts.put(p.name(), p);
                sizes.put(p.name(), weight.size());
            }
        }
        ShardSplit split =
                ShardSplit.of(
                        WeightFiles.STEM,
                        WeightFiles.SUFFIX,
                        sizes,
                        options.maxShardSize().orElse(ShardSplit.STANDARD_SIZE));
        Map<String, List<String>> named = new LinkedHashMap<>();
        for (Map.Entry<String, List<String>> file : split.files().entrySet()) {
            TorchBuilder torch = new TorchBuilder(Map.of());
            Map<String, PickleValue> dict = new LinkedHashMap<>();
            for (String name : file.getValue()) {
                ParameterFacts p = Optional.ofNullable(facts.get(name)).orElseThrow();
                Elementwise weight =
                        Optional.ofNullable(weights.byParameter().get(name)).orElseThrow();
                PickleValue tensor = tensor(torch, p, weight);
                dict.put(name, tensor);
                // Two names of one storage: what torch.save makes of tied parameters.
                p.aliases().forEach(alias -> dict.put(alias, tensor));
            }
            folder.add(torch.file(file.getKey(), PyDict.of(dict)));
            named.put(file.getKey(), List.copyOf(dict.keySet()));
        }
        if (split.isSharded()) {
            folder.add(
                    WeightFiles.MODEL + WeightFiles.INDEX_SUFFIX,
                    new ShardSplit(named, split.totalSize()).index());
        }
    }

    private static PickleValue tensor(TorchBuilder torch, ParameterFacts p, Elementwise of) {
        return TensorPickles.write(
                torch.tensor(
                        of.dtype(),
                        p.realShape(),
                        of.count() == 0 ? List.of() : List.of(new Part.Elements(0, of))));
    }

    /// `optimizer.pt`: `{"state": {NAME: {STATE: tensor}}, "param_groups": [{"params": [NAME,
    /// ..]}]}`, which torch's `set_optimizer_state_dict` takes by names.
    private void states() {
        if (!folder.writesStates()) {
            return;
        }
        TorchBuilder torch = new TorchBuilder(Map.of());
        Map<String, PickleValue> state = new LinkedHashMap<>();
        TreeMap<Integer, List<PickleValue>> groups = new TreeMap<>();
        for (ParameterFacts p : request.parameters()) {
            if (!weights.byParameter().containsKey(p.name())) {
                continue;
            }
            Map<String, PickleValue> own = new LinkedHashMap<>();
            for (Map.Entry<String, DType> each : p.states().entrySet()) {
                if (!each.getKey().equals(ModelWeights.WEIGHT)) {
                    own.put(
                            each.getKey(),
                            tensor(
                                    torch,
                                    p,
                                    ModelWeights.elements(p, each.getKey(), each.getValue())));
                }
            }
            p.scalars().forEach((name, value) -> own.put(name, torch.scalar(value)));
            if (!own.isEmpty()) {
                state.put(p.name(), PyDict.of(own));
                groups.computeIfAbsent(Math.max(0, p.optimizerGroup()), _ -> new ArrayList<>())
                        .add(PyText.of(p.name()));
            }
        }
        List<PickleValue> all = new ArrayList<>();
        for (int g = 0; !groups.isEmpty() && g <= groups.lastKey(); g++) {
            List<PickleValue> names = groups.getOrDefault(g, List.of());
            all.add(PyDict.of(Map.of("params", PyList.of(names))));
        }
        Map<String, PickleValue> root = new LinkedHashMap<>();
        root.put("state", PyDict.of(state));
        root.put("param_groups", PyList.of(all));
        TargetFile file = torch.file(WeightFiles.OPTIMIZER, PyDict.of(root));
        folder.add(file);
    }
}
