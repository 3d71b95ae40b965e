package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.tensor.Shape;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SequencedMap;

/// What a model states file says, apart from tensors. What it lacks is empty.
///
/// Source: DeepSpeed `runtime/engine.py` (`_save_checkpoint`).
record ModelStates(PickleValue root) {
    /// Per optimizer group (stage 3: sub-group), the names and this rank's shapes in flat order.
    List<SequencedMap<String, Shape>> groups() {
        Optional<PickleValue> shapes = root.find("param_shapes");
        return shapes.flatMap(PickleValue::asSequence)
                .or(() -> shapes.map(List::of))
                .orElse(List.of())
                .stream()
                .map(ModelStates::shapes)
                .toList();
    }

    SequencedMap<String, Shape> frozen() {
        return root.find("frozen_param_shapes")
                .map(ModelStates::shapes)
                .orElseGet(LinkedHashMap::new);
    }

    private static SequencedMap<String, Shape> shapes(PickleValue value) {
        SequencedMap<String, Shape> all = new LinkedHashMap<>();
        for (PyDict.Entry entry : entries(value)) {
            Optional<String> name = entry.key().asText();
            Optional<Shape> shape = shape(entry.value());
            if (name.isPresent() && shape.isPresent()) {
                all.put(name.get(), shape.get());
            }
        }
        return all;
    }

    private static Optional<Shape> shape(PickleValue value) {
        return value.asSequence()
                .filter(
                        dims ->
                                dims.stream()
                                        .allMatch(d -> d.asLong().orElse(-1) >= 0))
                .map(
                        dims ->
                                Shape.of(
                                        dims.stream()
                                                .mapToLong(d -> d.asLong().getAsLong())
                                                .toArray()));
    }

    private static List<PyDict.Entry> entries(PickleValue value) {
        return value.asDict().map(PyDict::entries).orElse(List.of());
    }

    /// `shared_params`: alias -> the name under which the tensor is held.
    Map<String, String> aliases() {
        Map<String, String> all = new LinkedHashMap<>();
        for (PyDict.Entry entry : root.find("shared_params").map(ModelStates::entries).orElse(List.of())) {
            entry.key()
                    .asText()
                    .ifPresent(alias -> entry.value().asText().ifPresent(n -> all.put(alias, n)));
        }
        return all;
    }

    List<String> buffers() {
        return texts(root.find("buffer_names"));
    }

    /// The model's tensors as they lie in `module`, nested keys joined with `.`; none for pipeline
    /// modules, whose weights are in files of their own.
    SequencedMap<String, PickleValue> module() {
        SequencedMap<String, PickleValue> all = new LinkedHashMap<>();
        root.find("module").ifPresent(module -> flatten("", module, all, 0));
        return all;
    }

    private static void flatten(
            String prefix, PickleValue value, Map<String, PickleValue> into, int depth) {
        if (depth > 64) {
            return;
        }
        for (PyDict.Entry entry : entries(value)) {
            Optional<String> key = entry.key().asText();
            if (key.isPresent()) {
                String name = prefix + key.get();
                if (entry.value().asDict().isPresent()) {
                    flatten(name + ".", entry.value(), into, depth + 1);
                } else {
                    into.put(name, entry.value());
                }
            }
        }
    }

    /// `iteration` of the user, else the engine's count of steps.
    OptionalLong iteration() {
        return number("iteration").isPresent() ? number("iteration") : number("global_steps");
    }

    int dataParallel() {
        return degree("dp_world_size");
    }

    /// Tensor times pipeline parallel.
    int modelParallel() {
        return degree("mp_world_size");
    }

    int pipelineParallel() {
        return degree("checkpoint_parallel_dimensions", "pp_degree");
    }

    /// Where older files do not say, all that is not pipeline.
    int tensorParallel() {
        String[] path = {"checkpoint_parallel_dimensions", "tp_degree"};
        return number(path).isPresent()
                ? degree(path)
                : Math.max(1, modelParallel() / pipelineParallel());
    }

    /// The ZeRO stage of the configuration.
    OptionalLong stage() {
        return number("ds_config", "zero_optimization", "stage");
    }

    /// The optimizer's groups where it is not ZeRO's (stage 0): the engine then keeps its dict here,
    /// or a wrapper's around it.
    Optional<PickleValue> paramGroups() {
        return root.find("optimizer", "param_groups")
                .or(() -> root.find("optimizer", "optimizer_state_dict", "param_groups"))
                .or(() -> root.find("optimizer", "base_optimizer_state", "param_groups"));
    }

    /// AutoEP: name of an expert parameter -> number of experts along its dim 0.
    Map<String, Long> experts() {
        Map<String, Long> all = new LinkedHashMap<>();
        Optional<PickleValue> layers =
                root.find("universal_checkpoint_info", "ds_autoep_layers")
                        .or(() -> root.find("ds_autoep_layers"));
        for (PickleValue layer : layers.flatMap(PickleValue::asSequence).orElse(List.of())) {
            Optional<String> prefix = layer.find("expert_key_prefix").flatMap(PickleValue::asText);
            OptionalLong count =
                    layer.find("num_experts").map(PickleValue::asLong).orElse(OptionalLong.empty());
            if (prefix.isPresent() && count.isPresent()) {
                for (String weight : List.of("w1", "w2", "w3")) {
                    all.put(prefix.get() + "." + weight, count.getAsLong());
                }
            }
        }
        return all;
    }

    private int degree(String... path) {
        long degree = number(path).orElse(1);
        return degree < 1 || degree > Integer.MAX_VALUE ? 1 : (int) degree;
    }

    private OptionalLong number(String... path) {
        return root.find(path).map(PickleValue::asLong).orElse(OptionalLong.empty());
    }

    private static List<String> texts(Optional<PickleValue> value) {
        List<String> all = new ArrayList<>();
        for (PickleValue each : value.flatMap(PickleValue::asSequence).orElse(List.of())) {
            each.asText().ifPresent(all::add);
        }
        return all;
    }

    /// A stage as DeepSpeed pickles it: `ZeroStageEnum(3)`, or a plain number.
    static OptionalLong stage(PickleValue value) {
        return value instanceof PyObject call
                        && call.callable() instanceof PyGlobal name
                        && name.name().equals("ZeroStageEnum")
                ? call.argument(0).map(PickleValue::asLong).orElse(OptionalLong.empty())
                : value.asLong();
    }
}
