package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.deepspeed.writing.OptimizerModel.Kind;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;

/// `mp_rank_XX_model_states.pt` (ZeRO-3: `zero_pp_rank_D_mp_rank_XX_model_states.pt`): the source's
/// tree, changed where the layout changes.
///
/// Source: DeepSpeed `runtime/engine.py` (`_common_checkpoint_state`, `_save_checkpoint`,
/// `_get_zero_param_shapes`, `_get_zero_frozen_param_attributes`, `_get_ckpt_name`).
///
/// @param optimizer where there is no ZeRO; absent too where there is no optimizer
record ModelStates(
        Ranks target,
        SourceFiles source,
        RankHoldings holdings,
        OptimizerGroups groups,
        ExpertFiles experts,
        Configuration configuration,
        ScriptArguments arguments,
        CheckpointInfo checkpoint,
        Choices choices,
        Map<String, String> aliases,
        Kind kind,
        Optional<WholeOptimizer> optimizer) {
    private static final String RNG = "rng_state";

    /// One file a model-parallel rank, of stage 3 one a rank.
    String name(int mp, int dp) {
        return configuration.stage() == 3
                ? String.format(Locale.ROOT, "zero_pp_rank_%d_mp_rank_%02d_model_states.pt", dp, mp)
                : String.format(Locale.ROOT, "mp_rank_%02d_model_states.pt", mp);
    }

    int files() {
        return configuration.stage() == 3 ? target.dp() : 1;
    }

    TargetFile file(String path, int mp, int dp) {
        boolean spread = choices.rng() == Choices.Rng.SPREAD;
        CarriedFile model = source.model(target, spread ? 0 : mp, spread ? 0 : dp);
        TorchBuilder torch = new TorchBuilder(model.storages());
        PyDict root = SourceFiles.dict(model);
        PyDict tree = root;
        Optional<PickleValue> module = root.find("module").filter(m -> !m.isNone());
        if (module.isPresent()) {
            PickleValue counted =
                    module.get() instanceof PyDict d ? experts.counted(d, mp) : module.get();
            tree = tree.with("module", module(path, torch, mp).of(counted));
        }
        if (optimizer.isPresent() || tree.has(OptimizerModel.WHOLE)) {
            tree =
                    tree.with(
                            OptimizerModel.WHOLE,
                            optimizer.isPresent()
                                    ? optimizer.get().states(torch, mp)
                                    : PyNone.NONE);
        }
        tree = tree.with("param_shapes", kind.whole() ? PyNone.NONE : PyList.of(shapes(mp)));
        tree = frozen(tree, torch, mp, dp);
        if (tree.has("shared_params")) {
            tree = tree.with("shared_params", shared(tree, mp, dp));
        }
        tree = tree.with("dp_world_size", PyInt.of(target.dp()));
        tree = tree.with("mp_world_size", PyInt.of(target.mp()));
        if (tree.has("checkpoint_parallel_dimensions") || target.mp() > 1) {
            tree = tree.with("checkpoint_parallel_dimensions", dimensions());
        }
        tree = change(tree, "ds_config", v -> v.asDict().isPresent() ? configuration.changed() : v);
        tree = change(tree, "args", v -> arguments.changed(v, mp));
        tree = change(tree, "universal_checkpoint_info", checkpoint::changed);
        if (experts.autoEp().any()) {
            ExpertPlaces places = experts.experts();
            tree =
                    experts.autoEp()
                            .in(
                                    tree,
                                    places,
                                    places.of(mp, dp),
                                    places.replica(mp, dp),
                                    configuration.stage());
        }
        if (choices.rng() == Choices.Rng.DROP) {
            tree = tree.without(RNG);
        }
        return torch.file(path, tree);
    }

    /// Listed by the first rank of a job with ZeRO.
    private PickleValue shared(PyDict tree, int mp, int dp) {
        if (kind.whole()) {
            return PyNone.NONE;
        }
        if (mp != 0 || dp != 0) {
            return PyDict.empty();
        }
        Optional<PickleValue> listed = tree.find("shared_params").filter(v -> !v.isNone());
        if (listed.isPresent()) {
            return listed.get();
        }
        Map<String, PickleValue> names = new TreeMap<>();
        aliases.forEach(
                (alias, name) -> {
                    if (holdings.named(mp, name).isPresent()) {
                        names.put(alias, PyText.of(name));
                    }
                });
        return PyDict.of(names);
    }

    private static PyDict change(
            PyDict tree, String key, Function<PickleValue, PickleValue> change) {
        return tree.find(key).map(v -> tree.with(key, change.apply(v))).orElse(tree);
    }

    private PyDict dimensions() {
        Map<String, PickleValue> dimensions = new LinkedHashMap<>();
        dimensions.put("pp_degree", PyInt.of(target.pp()));
        dimensions.put("tp_degree", PyInt.of(target.tp()));
        return PyDict.of(dimensions);
    }

    private ModuleTree module(String path, TorchBuilder torch, int mp) {
        Ranks before = source.ranks();
        return new ModuleTree(
                path,
                torch,
                key ->
                        holdings.named(mp, key)
                                .or(() -> alias(mp, key))
                                .or(() -> experts.copied(mp, key)),
                before.tp() == target.tp()
                        && before.pp() == target.pp()
                        && source.expertRanks() == experts.experts().degree(),
                configuration.stage() == 3,
                holdings::dtype);
    }

    private Optional<Held> alias(int mp, String key) {
        return Optional.ofNullable(aliases.get(key)).flatMap(name -> holdings.named(mp, name));
    }

    /// Parameters in flat order: one dict an optimizer group, of stage 3 one a sub-group.
    private List<PickleValue> shapes(int mp) {
        return groups.on(mp, 0).stream()
                .map(
                        group ->
                                (PickleValue)
                                        ordered(
                                                group.parts().members(),
                                                h -> size(h.shard().shape())))
                .toList();
    }

    private static PyObject ordered(List<Held> members, Function<Held, PickleValue> value) {
        Map<String, PickleValue> entries = new LinkedHashMap<>();
        members.forEach(h -> entries.put(h.name(), value.apply(h)));
        return PyObject.orderedDict(PyDict.of(entries));
    }

    private static PickleValue size(Shape shape) {
        return PyObject.call(
                new PyGlobal("torch", "Size"),
                PyTuple.of(Arrays.stream(shape.dims()).mapToObj(PyInt::of).toList()));
    }

    /// Listed from stage 2 on; whole in stage 2, this rank's part of each in stage 3.
    private PyDict frozen(PyDict tree, TorchBuilder torch, int mp, int dp) {
        if (configuration.stage() < 2) {
            return tree.with("frozen_param_shapes", PyNone.NONE)
                    .with("frozen_param_fragments", PyNone.NONE);
        }
        List<Held> frozen = holdings.frozen(mp);
        return tree.with("frozen_param_shapes", ordered(frozen, h -> size(h.shard().shape())))
                .with("frozen_param_fragments", ordered(frozen, h -> fragment(torch, h, dp)));
    }

    private PickleValue fragment(TorchBuilder torch, Held held, int dp) {
        DType dtype = holdings.dtype(held, held.dtype(Held.WEIGHT));
        if (configuration.stage() == 2) {
            return TensorPickles.write(
                    torch.tensor(
                            dtype, held.shard().shape(), held.weight(dtype).stream().toList()));
        }
        long part = Math.ceilDiv(held.count(), target.dp());
        long from = Math.min(held.count(), dp * part);
        long to = Math.min(held.count(), from + part);
        List<Part> parts = held.weight(dtype, from, to).stream().toList();
        return TensorPickles.write(torch.tensor(dtype, Shape.of(part), parts));
    }
}
