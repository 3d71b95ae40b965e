package io.ucp.formats.deepspeed;

import io.ucp.formats.Coordinate;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.deepspeed.writing.LayerName;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// The layers of a pipeline: layer file `XX` holds `<suffix>` for the parameter `XX.<suffix>`, or
/// for `tied_modules.<key>.<suffix>` where the layer is tied; a tied layer is written once per
/// stage that builds it, which is the first that has it.
///
/// Source: DeepSpeed `runtime/pipe/module.py`.
final class PipelineLayers {
    private static final Pattern TIED = Pattern.compile("(tied_modules\\.[^.]+\\.)(.+)");
    private static final Pattern NUMBERED = Pattern.compile("(\\d+)\\..+");

    private final CheckpointFiles files;
    private final Degrees degrees;
    private final Weights.Collector weights;
    private final Map<Integer, Listed> listed = new HashMap<>();

    PipelineLayers(CheckpointFiles files, Degrees degrees, Weights.Collector weights) {
        this.files = files;
        this.degrees = degrees;
        this.weights = weights;
    }

    void read() throws IOException {
        if (files.layers().isEmpty()) {
            return;
        }
        LayerStages unlisted = LayerStages.of(files, degrees, weights.findings());
        List<CheckpointFile> ordered = new ArrayList<>(files.layers());
        // As the model has them, which no list says then.
        ordered.sort(Comparator.comparing(f -> !unlisted.isShared(layer(f).layer())));
        for (CheckpointFile file : ordered) {
            of(file, layer(file), unlisted);
        }
        for (int mp = 0; mp < degrees.mp(); mp++) {
            allHeld(files.model(mp), mp);
        }
    }

    private static FileName.Layer layer(CheckpointFile file) {
        return (FileName.Layer) file.name();
    }

    /// @param unlisted stages of layers that no list of parameters names
    private void of(CheckpointFile file, FileName.Layer layer, LayerStages unlisted)
            throws IOException {
        Map<String, TensorEntry> module = new LinkedHashMap<>();
        ModelStates.flatten(file, file.dict(file.root(), "the state dict of a layer"), module);
        String numbered = layer.layer() + ".";
        OptionalInt stage = stageOf(numbered, layer.tp());
        String prefix = numbered;
        Integer found = unlisted.stages().get(layer.layer());
        if (stage.isEmpty() && found != null) {
            stage = OptionalInt.of(found);
            prefix = unlisted.isShared(layer.layer()) ? unlisted.prefix() : prefix;
        }
        if (stage.isEmpty() && !module.isEmpty()) {
            Map<String, Integer> tied = tied(module, layer.tp());
            if (tied.size() > 1) {
                throw file.malformed(
                        "the layer fits each of " + tied.keySet(),
                        "one tied module with its names");
            }
            if (!tied.isEmpty()) {
                Map.Entry<String, Integer> only = tied.entrySet().iterator().next();
                prefix = only.getKey();
                stage = OptionalInt.of(only.getValue());
            }
        }
        Coordinate at =
                stage.isPresent()
                        ? degrees.at(stage.getAsInt() * degrees.tp() + layer.tp())
                        : degrees.pp() == 1
                                ? degrees.at(layer.tp())
                                : Coordinate.of("tp", layer.tp());
        Map<String, Shape> shapes =
                stage.isPresent() ? listed(stage.getAsInt(), layer.tp()).shapes : Map.of();
        weights.place(file, at, stage.isPresent() || degrees.pp() == 1);
        for (Map.Entry<String, TensorEntry> e : module.entrySet()) {
            String name = prefix + e.getKey();
            if (!shapes.containsKey(name)) {
                weights.unlistedInLayer(name);
            }
            weights.hold(file, name, at, e.getValue(), shapes.get(name));
            if (unlisted.isShared(layer.layer())) {
                for (int copy : unlisted.copies()) {
                    weights.copy(name, degrees.at(copy * degrees.tp() + layer.tp()), e.getValue());
                }
            }
        }
    }

    /// The stage whose parameters (or buffers) are numbered so.
    private OptionalInt stageOf(String numbered, int tp) throws IOException {
        for (int stage = 0; stage < degrees.pp(); stage++) {
            if (listed(stage, tp).numbered.contains(numbered)) {
                return OptionalInt.of(stage);
            }
        }
        return OptionalInt.empty();
    }

    /// Tied modules with these names and shapes -> the first stage that has them.
    private Map<String, Integer> tied(Map<String, TensorEntry> module, int tp) throws IOException {
        Map<String, Integer> found = new LinkedHashMap<>();
        for (int stage = 0; stage < degrees.pp(); stage++) {
            Map<String, Map<String, Shape>> byKey = new TreeMap<>();
            for (Map.Entry<String, Shape> e : listed(stage, tp).shapes.entrySet()) {
                Matcher m = TIED.matcher(e.getKey());
                if (m.matches()) {
                    byKey.computeIfAbsent(m.group(1), _ -> new LinkedHashMap<>())
                            .put(m.group(2), e.getValue());
                }
            }
            for (Map.Entry<String, Map<String, Shape>> e : byKey.entrySet()) {
                boolean fits =
                        e.getValue().entrySet().stream()
                                .allMatch(
                                        s -> {
                                            TensorEntry held = module.get(s.getKey());
                                            return held != null
                                                    && held.shape().equals(s.getValue());
                                        });
                if (fits) {
                    found.putIfAbsent(e.getKey(), stage);
                }
            }
        }
        return found;
    }

    /// What the model states of a rank list.
    ///
    /// @param shapes of its parameters
    /// @param numbered what names of its parameters and buffers begin with, `12.`
    private record Listed(Map<String, Shape> shapes, Set<String> numbered) {
        static Listed of(ModelStates model) {
            Map<String, Shape> shapes = new LinkedHashMap<>(model.trainable());
            model.frozen().ifPresent(shapes::putAll);
            Set<String> numbered = new HashSet<>();
            shapes.keySet().forEach(n -> numbered.add(n.substring(0, n.indexOf('.') + 1)));
            model.buffers().forEach(n -> numbered.add(n.substring(0, n.indexOf('.') + 1)));
            return new Listed(shapes, numbered);
        }
    }

    /// Asked for once a layer and stage, which may be thousands of times.
    private Listed listed(int stage, int tp) throws IncompleteCheckpointException {
        int mp = stage * degrees.tp() + tp;
        Listed known = listed.get(mp);
        if (known == null) {
            known = Listed.of(files.model(mp));
            listed.put(mp, known);
        }
        return known;
    }

    /// A layer none of whose files is there is missed by its parameters.
    private void allHeld(ModelStates model, int mp) throws IOException {
        List<String> missing = new ArrayList<>();
        for (Map.Entry<String, Shape> e : model.trainable().entrySet()) {
            Matcher m = NUMBERED.matcher(e.getKey());
            if (m.matches() && !weights.holds(e.getKey(), degrees.at(mp))) {
                missing.add(e.getKey());
            }
        }
        if (missing.isEmpty()) {
            return;
        }
        Matcher m = NUMBERED.matcher(missing.getFirst());
        if (!m.matches()) {
            throw new IllegalStateException(missing.getFirst());
        }
        int layer = Integer.parseInt(m.group(1));
        String file = LayerName.of(layer, mp % degrees.tp());
        for (CheckpointFile there : files.layers()) {
            if (there.label().equals(file)) {
                throw lacks(there, missing.getFirst(), model);
            }
        }
        throw files.missing(file);
    }

    private static MalformedFileException lacks(
            CheckpointFile file, String name, ModelStates model) {
        return file.malformed(
                "it lacks " + name, "the parameters that " + model.file().label() + " lists");
    }
}
