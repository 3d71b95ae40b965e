package io.ucp.formats.mcore;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.mcore.SourceModel.Rank;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;

/// What a model's state dict has, in its order, for any part of the model: parameters, buffers and
/// states of layers (`_extra_state`), which are no parameters.
///
/// @param before names in front of the layers
/// @param layers of each layer, by its number, the names of it; of the experts those of the first
/// @param after names behind the layers
/// @param values what lies under a name, where that is known, and in which file
/// @param chunks layers of each chunk of the source, the first chunk of every stage first
/// @param modules of the source's `_metadata` by the number of the layer, -1 for those of none
public record ModelTemplate(
        List<String> before,
        Map<Long, List<String>> layers,
        List<String> after,
        Map<String, Value> values,
        List<Integer> chunks,
        Map<Long, Map<String, PickleValue>> modules) {
    private static final String METADATA = "_metadata";
    private static final Pattern LEGACY =
            Pattern.compile("language_model\\.(?:transformer|encoder)\\..*");
    private static final String HEAD_STATE = "output_layer._extra_state";

    /// @param file whose storages its tensors are in
    public record Value(PickleValue value, CarriedFile file) {}

    /// @param foreign no job of Megatron-LM wrote the state
    /// @throws RefusedException where the names are of before Megatron-Core
    public static ModelTemplate of(WriteRequest request, SourceModel source, boolean foreign) {
        List<String> names =
                new ArrayList<>(request.parameters().stream().map(ParameterFacts::name).toList());
        for (String name : names) {
            if (LEGACY.matcher(name).matches()) {
                throw new RefusedException(
                        name,
                        "a module of Megatron-LM before Megatron-Core",
                        "names of Megatron-Core",
                        "--target-spec megatron_core_gpt2_hf (`ucp spec list`)");
            }
        }
        if (foreign) {
            return of(names);
        }
        if (!request.origin().format().equals(Roles.DIST)) {
            return of(source);
        }
        Map<String, Value> values = new LinkedHashMap<>();
        for (CarriedFile file : request.carried()) {
            Optional<PyDict> root = file.root().flatMap(PickleValue::asDict);
            if (file.role().equals(Roles.LAYERS) && root.isPresent()) {
                for (PyDict.Entry entry : root.get().entries()) {
                    entry.key()
                            .asText()
                            .ifPresent(key -> values.put(key, new Value(entry.value(), file)));
                    // No state of the head's layer is saved there.
                    values.putIfAbsent(HEAD_STATE, new Value(PyNone.NONE, file));
                }
            }
        }
        names.addAll(values.keySet());
        ModelTemplate ordered = of(names);
        return new ModelTemplate(
                ordered.before,
                ordered.layers,
                ordered.after,
                values,
                source.evenChunks(ordered.layers.size()),
                Map.of());
    }

    /// Of the files of a job.
    public static ModelTemplate of(SourceModel source) {
        Reader reader = new Reader(source);
        for (int c = 0; c < source.grid().virtual(); c++) {
            for (int p = 0; p < source.grid().pp(); p++) {
                reader.chunk(c, p);
            }
        }
        return new ModelTemplate(
                List.copyOf(reader.before),
                reader.layers,
                List.copyOf(reader.after),
                reader.values,
                reader.chunks,
                reader.modules);
    }

    /// Of a state that no job of Megatron-LM wrote: in the order in which its modules are made.
    ///
    /// @param names of the parameters, with global numbers
    public static ModelTemplate of(List<String> names) {
        List<String> before = new ArrayList<>();
        List<String> after = new ArrayList<>();
        Map<Long, List<String>> layers = new TreeMap<>();
        for (String name : ModuleOrder.sorted(names)) {
            Optional<Long> layer = Names.layer(name);
            if (layer.isPresent()) {
                if (Names.expert(name).orElse(0L) == 0) {
                    layers.computeIfAbsent(layer.get(), _ -> new ArrayList<>()).add(name);
                }
            } else {
                (Names.isInFront(name) ? before : after).add(name);
            }
        }
        return new ModelTemplate(before, layers, after, Map.of(), List.of(), Map.of());
    }

    private static final class Reader {
        private final SourceModel source;
        private final Set<String> before = new LinkedHashSet<>();
        private final Set<String> after = new LinkedHashSet<>();
        private final Map<Long, List<String>> layers = new TreeMap<>();
        private final Map<String, Value> values = new LinkedHashMap<>();
        private final Map<Long, Map<String, PickleValue>> modules = new TreeMap<>();
        private final List<Integer> chunks = new ArrayList<>();
        private long next;

        Reader(SourceModel source) {
            this.source = source;
        }

        void chunk(int chunk, int stage) {
            long first = next;
            for (Rank rank : source.holders(stage)) {
                Optional<PickleValue> model = rank.root().find(key(chunk, source.grid().virtual()));
                if (model.isPresent()) {
                    entries(rank, model.get(), first, chunk == 0 && stage == 0);
                    metadata(model.get(), first);
                }
            }
            chunks.add(Math.toIntExact(next - first));
        }

        private void entries(Rank rank, PickleValue model, long first, boolean begins) {
            long experts = source.arguments().number("num_experts").orElse(0) / source.grid().ep();
            boolean layered = false;
            for (PyDict.Entry entry : model.asDict().map(PyDict::entries).orElse(List.of())) {
                Optional<String> local = entry.key().asText();
                if (local.isEmpty()) {
                    continue;
                }
                String name = Names.moved(local.get(), first, experts * rank.ep());
                values.putIfAbsent(name, new Value(entry.value(), rank.file()));
                Optional<Long> layer = Names.layer(name);
                if (layer.isEmpty()) {
                    (begins && (!layered || Names.isInFront(name)) ? before : after).add(name);
                    continue;
                }
                layered = true;
                next = Math.max(next, layer.get() + 1);
                List<String> own = layers.computeIfAbsent(layer.get(), _ -> new ArrayList<>());
                if (Names.expert(name).orElse(0L) == 0 && !own.contains(name)) {
                    own.add(name);
                }
            }
        }

        private void metadata(PickleValue model, long first) {
            Optional<PyDict> held =
                    model instanceof PyObject object
                            ? object.attributes()
                                    .flatMap(a -> a.find(METADATA))
                                    .flatMap(PickleValue::asDict)
                            : Optional.empty();
            for (PyDict.Entry entry : held.map(PyDict::entries).orElse(List.of())) {
                String module = entry.key().asText().orElse("");
                // A dot, so that the name of a layer's module itself has something behind it.
                String moved = Names.moved(module + ".", first, 0);
                String name = moved.substring(0, moved.length() - 1);
                modules.computeIfAbsent(Names.layer(moved).orElse(-1L), _ -> new LinkedHashMap<>())
                        .putIfAbsent(name, entry.value());
            }
        }
    }

    /// Of a chunk in a file of its stage.
    public static String key(int chunk, int virtual) {
        return virtual > 1 ? "model" + chunk : "model";
    }

    /// Everything of a layer, with the experts of `[firstExpert, firstExpert + experts)`: one after
    /// the other, or where one layer holds all of them, tensor by tensor.
    public List<String> layer(long number, long firstExpert, long experts) {
        List<String> out = new ArrayList<>();
        List<String> own = layers.getOrDefault(number, List.of());
        boolean done = false;
        for (String name : own) {
            if (Names.expert(name).isEmpty()) {
                out.add(name);
            } else if (!name.contains(".local_experts.")) {
                for (long e = firstExpert; e < firstExpert + experts; e++) {
                    out.add(Names.moved(name, 0, e));
                }
            } else if (!done) {
                done = true;
                List<String> each =
                        own.stream().filter(n -> n.contains(".local_experts.")).toList();
                for (long e = firstExpert; e < firstExpert + experts; e++) {
                    long expert = e;
                    each.forEach(n -> out.add(Names.moved(n, 0, expert)));
                }
            }
        }
        return out;
    }
}
