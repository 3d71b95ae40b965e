package io.ucp.formats.universal;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// From a manifest to what all formats say of a checkpoint, the files held against the manifest on
/// the way.
final class UniversalIndex {
    private final Path folder;
    private final Manifest manifest;
    private final Map<String, Manifest.ArrowFile> files = new LinkedHashMap<>();
    private final Map<String, StateFileView> views = new HashMap<>();

    private UniversalIndex(Path folder, Manifest manifest) {
        this.folder = folder;
        this.manifest = manifest;
        manifest.files().forEach(file -> files.put(file.path(), file));
    }

    static CheckpointIndex of(Path folder, Manifest manifest) throws IOException {
        UniversalIndex index = new UniversalIndex(folder, manifest);
        index.checkFiles();
        List<WholeParameter> wholes = new ArrayList<>();
        Map<String, ParameterFacts> facts = new HashMap<>();
        for (Manifest.Held held : manifest.parameters()) {
            wholes.add(index.whole(held));
            facts.put(held.facts().name(), held.facts());
        }
        List<CarriedFile> carried = new ArrayList<>();
        for (Manifest.Carried file : manifest.carried()) {
            carried.add(CarriedReader.read(folder, file, facts));
        }
        return new CheckpointIndex(
                UniversalFormat.NAME,
                folder,
                manifest.tag(),
                manifest.iteration(),
                -1,
                List.of(),
                List.of(),
                List.of(),
                wholes,
                manifest.hints(),
                carried,
                manifest.origin(),
                List.of());
    }

    private void checkFiles() throws IOException {
        Map<String, List<StateFileCheck.Tensor>> tensors = new LinkedHashMap<>();
        for (String path : files.keySet()) {
            tensors.put(path, new ArrayList<>());
        }
        for (Manifest.Held held : manifest.parameters()) {
            for (Map.Entry<String, Manifest.Place> state : held.places().entrySet()) {
                Manifest.Place place = state.getValue();
                Manifest.ArrowFile file = files.get(place.file());
                DType dtype = held.facts().states().get(state.getKey());
                if (file == null || file.dtype() != dtype || !file.state().equals(state.getKey())) {
                    throw wrong(
                            "\"%s\" has its state \"%s\" in %s"
                                    .formatted(held.facts().name(), state.getKey(), place.file()),
                            "one of the files of that state and dtype");
                }
                tensors.computeIfAbsent(place.file(), _ -> new ArrayList<>())
                        .add(
                                new StateFileCheck.Tensor(
                                        held.facts().name(), held.facts().shape(), place));
            }
        }
        for (Map.Entry<String, List<StateFileCheck.Tensor>> entry : tensors.entrySet()) {
            entry.getValue().sort(Comparator.comparingInt(t -> t.place().firstBatch()));
            Manifest.ArrowFile file = files.get(entry.getKey());
            if (file != null) {
                views.put(entry.getKey(), StateFileCheck.check(folder, file, entry.getValue()));
            }
        }
    }

    private WholeParameter whole(Manifest.Held held) throws MalformedFileException {
        ParameterFacts facts = held.facts();
        Map<String, TensorEntry> states = new LinkedHashMap<>();
        for (Map.Entry<String, DType> state : facts.states().entrySet()) {
            Manifest.Place place = held.places().get(state.getKey());
            StateFileView view = place == null ? null : views.get(place.file());
            Manifest.ArrowFile file = place == null ? null : files.get(place.file());
            if (place == null || view == null || file == null) {
                throw wrong("\"%s\" has no place".formatted(facts.name()), "one");
            }
            long body = view.bodies[place.firstBatch()];
            if (!file.compression().compresses() && body != place.offset()) {
                throw wrong(
                        "state \"%s\" of \"%s\" at byte %d of %s"
                                .formatted(
                                        state.getKey(), facts.name(), place.offset(), place.file()),
                        "%d, as that file says".formatted(body));
            }
            boolean plain = !file.compression().compresses() && place.batches() == 1;
            states.put(
                    state.getKey(),
                    plain
                            ? TensorEntry.dense(view.file(), body, state.getValue(), facts.shape())
                            : TensorEntry.dense(
                                    view,
                                    view.starts[place.firstBatch()],
                                    state.getValue(),
                                    facts.shape()));
        }
        return WholeParameter.of(facts, states);
    }

    private MalformedFileException wrong(String found, String expected) {
        return new MalformedFileException(
                folder.resolve(Manifest.FILE), -1, found, expected, "copy the checkpoint again");
    }
}
