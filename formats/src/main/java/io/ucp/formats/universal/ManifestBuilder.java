package io.ucp.formats.universal;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TargetTree.Outcome;
import io.ucp.formats.WriteRequest;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Gathers what a manifest says while files are laid out.
final class ManifestBuilder {
    private final WriteRequest request;
    private final List<Manifest.ArrowFile> files = new ArrayList<>();
    private final Map<String, Map<String, Manifest.Place>> places = new LinkedHashMap<>();
    private final List<Manifest.Carried> carried = new ArrayList<>();

    ManifestBuilder(WriteRequest request) {
        this.request = request;
        for (ParameterFacts facts : request.parameters()) {
            if (places.put(facts.name(), new HashMap<>()) != null) {
                throw new IllegalArgumentException("two parameters named " + facts.name());
            }
        }
    }

    void add(StateFile file, StateFileLayout layout) {
        files.add(
                new Manifest.ArrowFile(
                        file.path(),
                        file.state(),
                        file.dtype(),
                        file.compression(),
                        file.batches(),
                        file.compression().compresses() ? -1 : layout.target().size()));
        for (int t = 0; t < file.tensors().size(); t++) {
            StateFile.Tensor tensor = file.tensors().get(t);
            places.getOrDefault(tensor.facts().name(), new HashMap<>())
                    .put(
                            file.state(),
                            new Manifest.Place(
                                    file.path(),
                                    tensor.firstBatch(),
                                    tensor.batches(),
                                    layout.offsets()[t]));
        }
    }

    void add(CarriedFile file, String archive) {
        carried.add(new Manifest.Carried(file.path(), file.role(), file.at(), archive));
    }

    /// @param outcome digests in place of those that the request has; notes beside them
    Manifest build(Outcome outcome) {
        List<Manifest.Held> parameters = new ArrayList<>();
        for (ParameterFacts facts : request.parameters()) {
            Map<String, String> all = new HashMap<>(facts.digests());
            all.putAll(outcome.digests().getOrDefault(facts.name(), Map.of()));
            List<String> notes = new ArrayList<>(facts.notes());
            notes.addAll(outcome.notes().getOrDefault(facts.name(), List.of()));
            ParameterFacts digested =
                    new ParameterFacts(
                            facts.name(),
                            facts.shape(),
                            facts.realShape(),
                            facts.states(),
                            facts.scalars(),
                            facts.split(),
                            facts.trainable(),
                            facts.buffer(),
                            facts.optimizerGroup(),
                            facts.aliases(),
                            all,
                            notes);
            parameters.add(
                    new Manifest.Held(digested, places.getOrDefault(facts.name(), Map.of())));
        }
        return new Manifest(
                request.tag(),
                request.iteration(),
                Manifest.DIGEST,
                request.origin(),
                request.hints(),
                files,
                parameters,
                carried);
    }
}
