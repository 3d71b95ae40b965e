package io.ucp.formats.deepspeed;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.SavedPipeline;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/// The stages of a job's pipeline: the model states of each list the parameters that it had.
///
/// Sources: DeepSpeed `runtime/engine.py`, `_get_zero_param_shapes`; BigScience's
/// Megatron-DeepSpeed `megatron/arguments.py`, `--pp-partition-method`.
final class PipelineStages {
    private PipelineStages() {}

    static SavedPipeline of(List<CarriedFile> carried) {
        Map<String, Set<Integer>> stages = new LinkedHashMap<>();
        Optional<String> method = Optional.empty();
        for (CarriedFile file : carried) {
            if (!file.role().equals("model_states") || file.root().isEmpty()) {
                continue;
            }
            PickleValue root = file.root().get();
            names(root)
                    .forEach(
                            n ->
                                    stages.computeIfAbsent(n, _ -> new TreeSet<>())
                                            .add(file.at().on("pp")));
            method =
                    method.or(
                            () ->
                                    root.find("args", "pp_partition_method")
                                            .flatMap(PickleValue::asText));
        }
        if (stages.isEmpty()) {
            layers(carried, stages);
        }
        return new SavedPipeline(stages, method);
    }

    /// Without ZeRO no list names parameters: those of layers whose stage is known.
    private static void layers(List<CarriedFile> carried, Map<String, Set<Integer>> stages) {
        for (CarriedFile file : carried) {
            Integer stage = file.at().indices().get("pp");
            if (!file.role().equals("layer")
                    || stage == null
                    || file.root().isEmpty()
                    || !(FileName.of(file.path()) instanceof FileName.Layer layer)) {
                continue;
            }
            file.root().get().asDict().map(PyDict::entries).orElse(List.of()).stream()
                    .flatMap(e -> e.key().asText().stream())
                    .forEach(
                            key ->
                                    stages.computeIfAbsent(
                                                    layer.layer() + "." + key, _ -> new TreeSet<>())
                                            .add(stage));
        }
    }

    private static Stream<String> names(PickleValue root) {
        Stream<PickleValue> trained =
                root.find("param_shapes").flatMap(PickleValue::asSequence).stream()
                        .flatMap(List::stream);
        return Stream.concat(trained, root.find("frozen_param_shapes").stream())
                .flatMap(group -> group.asDict().stream())
                .map(PyDict::entries)
                .flatMap(List::stream)
                .flatMap(e -> e.key().asText().stream());
    }
}
