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
        return new SavedPipeline(stages, method);
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
